"""OptimizerMultipliers of a parametrization as regular expressions of names, for other trainers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from ..stats import grouped
from .groups import Adjustment, check_hidden, is_for_muon, muon_rate
from .listing import name_pattern
from .scaling import ParameterScaling

_STAR, _NUMBER = re.escape("*"), r"\d+"


class OptimizerMultipliers(TypedDict):
    """An optimizer, and its numbers over those at the base width.

    Attributes:
        optimizer: `AdamW`, or `Muon`, by the names of torch.
        lr_multiplier, weight_decay_multiplier: Of its learning rate and weight decay.
        eps_multiplier: Of AdamW's epsilon; 1 with Muon.
    """

    optimizer: Literal["AdamW", "Muon"]
    lr_multiplier: float
    weight_decay_multiplier: float
    eps_multiplier: float


class PatternMultipliers(OptimizerMultipliers):
    """The same of all parameters that a pattern finds.

    Attributes:
        pattern: Regular expression of whole names.
    """

    pattern: str


def patterns_of(
    weights: Sequence[ParameterScaling],
    absorbed: Mapping[str, float] | None,
    *,
    muon: Adjustment | None,
    decays_vectors: bool,
) -> list[PatternMultipliers]:
    """A pattern for each kind of parameter; see `Parametrization.patterns`.

    Args:
        absorbed: As for `muon_groups`.
    """
    if muon is not None:
        check_hidden(weights)
    kinds = grouped((name_pattern(weight.name), weight) for weight in weights)
    result = []
    for pattern, alike in kinds.items():
        each = [_multipliers(weight, absorbed, muon, decays_vectors) for weight in alike]
        one = all(factors == each[0] for factors in each)
        names = [pattern] if one else [weight.name for weight in alike]
        for name, factors in zip(names, each, strict=False):
            found = f"^{re.escape(name).replace(_STAR, _NUMBER)}$"
            result.append(PatternMultipliers(pattern=found, **factors))
    return result


def _multipliers(
    weight: ParameterScaling,
    absorbed: Mapping[str, float] | None,
    muon: Adjustment | None,
    decays_vectors: bool,
) -> OptimizerMultipliers:
    """Of one parameter."""
    if muon is not None and is_for_muon(weight):
        lr = muon_rate(weight, muon, absorbed)
        return OptimizerMultipliers(
            optimizer="Muon", lr_multiplier=lr, weight_decay_multiplier=1 / lr, eps_multiplier=1.0
        )
    is_decayed = decays_vectors or not weight.is_vector
    return OptimizerMultipliers(
        optimizer="AdamW",
        lr_multiplier=weight.adam,
        weight_decay_multiplier=is_decayed / weight.adam,
        eps_multiplier=weight.eps,
    )
