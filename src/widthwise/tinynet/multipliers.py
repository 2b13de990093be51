"""Multipliers of a base network's resolution, depth and width."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import TargetError

LARGEST = 4.0  # beyond any use here; keeps a slip of the finger from filling the memory


@dataclass(frozen=True, kw_only=True)
class Multipliers:
    """How large a network is beside the base of its family, in three numbers; (1, 1, 1) is it.

    Attributes:
        resolution: r, times the side of the base's square images.
        depth: d, times the blocks of each stage.
        width: w, times the channels of each stage.

    Raises:
        TargetError: A multiplier is not above 0 and at most 4.
    """

    resolution: float
    depth: float
    width: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and 0 < value <= LARGEST):
                raise TargetError(
                    f"{name} must be a multiplier above 0 and at most {LARGEST:g}; got {value}"
                )


BASE = Multipliers(resolution=1.0, depth=1.0, width=1.0)
