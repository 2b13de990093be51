"""What the axes of this room's drawings have in common: dress, widths below, colours of widths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .region_figure import FEATURE, INK, MUTED, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NARROW, _WIDE = np.array([0.72, 0.83, 0.93]), np.array([0.0, 0.28, 0.45])  # two blues


def style_axes(
    axes: Axes, title: str, below: str, *, size: float = 10.5, grid: bool = True
) -> None:
    """Titles in the project's colours, level lines behind what is drawn, and no frame but below.

    Args:
        axes: What is dressed.
        title: Above it, at the left.
        below: What the x axis shows.
        size: Of the title, in points.
        grid: Whether there are level lines.
    """
    axes.set_title(title, loc="left", color=INK, size=size, pad=8)
    axes.set_xlabel(below, color=MUTED)
    axes.tick_params(colors=MUTED, length=0)
    if grid:
        axes.grid(axis="y", color=RULE, lw=0.8)
        axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)


def mark_widths(axes: Axes, widths: Sequence[int]) -> None:
    """Widths below on a log scale, a tick at each; without any the axis stays as it is."""
    if widths:
        axes.set_xscale("log")
        axes.set_xticks(widths, [f"{width:,}" for width in widths])
        axes.minorticks_off()


def line_styles(widths: Iterable[int | None]) -> dict[int | None, dict[str, Any]]:
    """A line's look for each width: blue, darker when wider; None, the limit, as features are."""
    finite = sorted({width for width in widths if width is not None})
    looks: dict[int | None, dict[str, Any]] = {None: {"color": FEATURE, "lw": 2.0}}
    for place, width in enumerate(finite):
        share = place / max(1, len(finite) - 1)
        looks[width] = {"color": tuple(_NARROW + share * (_WIDE - _NARROW)), "lw": 1.3}
    return looks
