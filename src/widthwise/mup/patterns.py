"""Multipliers of a parametrization as regular expressions of names, for other trainers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypedDict

from ..stats import grouped
from .listing import name_pattern
from .scaling import ParameterScaling

_STAR, _NUMBER = re.escape("*"), r"\d+"


class PatternMultipliers(TypedDict):
    """What the parameters have that a pattern finds, by the keys of torchtitan."""

    pattern: str
    lr_multiplier: float
    weight_decay_multiplier: float


def patterns_of(
    weights: Sequence[ParameterScaling], *, decays_vectors: bool
) -> list[PatternMultipliers]:
    """A pattern for each kind of parameter; see `Parametrization.patterns`."""
    kinds = grouped((name_pattern(weight.name), weight) for weight in weights)
    result = []
    for pattern, alike in kinds.items():
        factors = {_multipliers(weight, decays_vectors) for weight in alike}
        names = [pattern] if len(factors) == 1 else [weight.name for weight in alike]
        for name, weight in zip(names, alike, strict=False):
            lr, decay = _multipliers(weight, decays_vectors)
            result.append(
                PatternMultipliers(
                    pattern=f"^{re.escape(name).replace(_STAR, _NUMBER)}$",
                    lr_multiplier=lr,
                    weight_decay_multiplier=decay,
                )
            )
    return result


def _multipliers(weight: ParameterScaling, decays_vectors: bool) -> tuple[float, float]:
    is_decayed = decays_vectors or not weight.is_vector
    return weight.adam, is_decayed / weight.adam
