"""The released networks: their multipliers, and what they are known to cost.

Multipliers: evaluation script of the released TinyNets. Printed multiply-adds: the authors' table.
Counts are exact and those of the released weights; for TinyNet-A the paper prints 5.1 M parameters,
which no network of its cost and resolution has.
"""

from __future__ import annotations

from dataclasses import dataclass

from .multipliers import Multipliers


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network of arXiv 2010.14819, of the family `efficientnet` with 1000 classes.

    Attributes:
        title: Name in the paper.
        scale: Its multipliers.
        printed_macs: Multiply-adds as the paper prints them.
        parameters: Exact number of parameters.
        macs: Exact multiply-adds of convolutions and linear layers.
    """

    title: str
    scale: Multipliers
    printed_macs: int
    parameters: int
    macs: int


CLASSES = 1000
_ROWS: dict[str, tuple[str, tuple[float, float, float], int, int, int]] = {
    "b0": ("EfficientNet-B0", (1.0, 1.0, 1.0), 387, 5_288_548, 385_814_752),
    "a": ("TinyNet-A", (0.86, 1.2, 1.0), 339, 6_187_972, 336_867_712),
    "b": ("TinyNet-B", (0.84, 1.1, 0.75), 202, 3_730_562, 200_709_360),
    "c": ("TinyNet-C", (0.825, 0.85, 0.54), 100, 2_457_234, 99_536_432),
    "d": ("TinyNet-D", (0.68, 0.695, 0.54), 52, 2_338_446, 51_580_656),
    "e": ("TinyNet-E", (0.475, 0.60, 0.51), 24, 2_042_972, 24_356_848),
}
PUBLISHED = {
    name: Published(
        title=title,
        scale=Multipliers(resolution=resolution, depth=depth, width=width),
        printed_macs=millions * 10**6,
        parameters=parameters,
        macs=macs,
    )
    for name, (title, (resolution, depth, width), millions, parameters, macs) in _ROWS.items()
}
TINYNETS = {name: network for name, network in PUBLISHED.items() if name != "b0"}
