"""Multipliers of a base network's resolution, depth and width, and how they become whole numbers.

The rules of rounding are those of the released TinyNets (arXiv 2010.14819) and of EfficientNet's
code; they decide counts: with the blocks rounded up, TinyNet-A would have 419 M multiply-adds
instead of 337.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import TargetError

LARGEST = 4.0  # beyond any use here; keeps a slip of the finger from filling the memory


@dataclass(frozen=True, kw_only=True)
class Multipliers:
    """Size of a network relative to the base of its family, which is (1, 1, 1).

    Attributes:
        resolution: Factor r of the side of the base's square images.
        depth: Factor d of the blocks of each stage.
        width: Factor w of the channels of each stage.

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


def round_resolution(base: int, multiplier: float) -> int:
    """Pixels: cut off, and not to a multiple of anything.

    >>> [round_resolution(224, r) for r in (0.86, 0.84, 0.825, 0.68, 0.475)]
    [192, 188, 184, 152, 106]
    """
    return int(base * multiplier)


def round_blocks(base: int, multiplier: float) -> int:
    """Blocks of a stage: to the nearest, a half to the even one (as Python rounds), at least 1.

    >>> round_blocks(1, 0.5), round_blocks(1, 1.5), round_blocks(5, 0.5), round_blocks(3, 0.1)
    (1, 2, 2, 1)
    """
    return max(1, round(base * multiplier))


def round_channels(channels: float, divisor: int = 8) -> int:
    """Channels: the nearest multiple of the divisor, or the next if that takes more than 10 %.

    At least the divisor. With 8: 8.8 becomes 8, and 9, of which 8 is less than nine tenths,
    becomes 16. Never falls as `channels` grows.

    >>> [round_channels(c) for c in (1, 8.8, 9, 12, 16 * 0.75, 320 * 0.54)]
    [8, 8, 16, 16, 16, 176]
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
