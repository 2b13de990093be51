"""The released networks: their multipliers, and what they are known to cost.

Multipliers: evaluation script of the released TinyNets. Printed multiply-adds: the authors' table.
Counts are exact and those of the released weights; for TinyNet-A the paper prints 5.1 M parameters,
which no network of its cost and resolution has.
"""

from __future__ import annotations

from dataclasses import dataclass

from .multipliers import BASE, Multipliers


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network of arXiv 2010.14819, of the family `efficientnet` with 1000 classes.

    Attributes:
        title: In words.
        scale: Its multipliers.
        printed_macs: Multiply-adds as the paper prints them.
        parameters: Exact.
        macs: Exact, of convolutions and linear layers.
    """

    title: str
    scale: Multipliers
    printed_macs: int
    parameters: int
    macs: int


def _tinynet(
    letter: str,
    multipliers: tuple[float, float, float],
    printed_millions: int,
    parameters: int,
    macs: int,
) -> Published:
    resolution, depth, width = multipliers
    return Published(
        title=f"TinyNet-{letter.upper()}",
        scale=Multipliers(resolution=resolution, depth=depth, width=width),
        printed_macs=printed_millions * 10**6,
        parameters=parameters,
        macs=macs,
    )


CLASSES = 1000
TINYNETS = {  # resolution, depth, width
    "a": _tinynet("a", (0.86, 1.2, 1.0), 339, 6_187_972, 336_867_712),
    "b": _tinynet("b", (0.84, 1.1, 0.75), 202, 3_730_562, 200_709_360),
    "c": _tinynet("c", (0.825, 0.85, 0.54), 100, 2_457_234, 99_536_432),
    "d": _tinynet("d", (0.68, 0.695, 0.54), 52, 2_338_446, 51_580_656),
    "e": _tinynet("e", (0.475, 0.60, 0.51), 24, 2_042_972, 24_356_848),
}
PUBLISHED = {
    "b0": Published(
        title="EfficientNet-B0",
        scale=BASE,
        printed_macs=387_000_000,
        parameters=5_288_548,
        macs=385_814_752,
    ),
    **TINYNETS,
}
