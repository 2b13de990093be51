"""Colours and axes that all drawings of limits share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, RULE = "#1d2024", "#646a72", "#dcdfe3"
KERNEL, FEATURE, UNSTABLE = "#0072b2", "#d55e00", "#f1f2f4"
_NARROW, _WIDE = np.array([0.72, 0.83, 0.93]), np.array([0.0, 0.28, 0.45])  # two blues


def style_axes(
    axes: Axes, title: str, below: str, *, size: float = 10.5, grid: bool = True
) -> None:
    """Set titles, level grid lines and a frame that consists of the x axis alone.

    Args:
        axes: Axes to style.
        title: Title above, at the left.
        below: Label of the x axis.
        size: Size of the title, in points.
        grid: Whether there are grid lines.
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
    """Give the x axis a log scale and a tick at each width; without widths do nothing."""
    if widths:
        axes.set_xscale("log")
        axes.set_xticks(widths, [f"{width:,}" for width in widths])
        axes.minorticks_off()


def line_styles(widths: Iterable[int | None]) -> dict[int | None, dict[str, Any]]:
    """Style of a line for each width: blue, darker when wider; None, the limit, in orange."""
    finite = sorted({width for width in widths if width is not None})
    styles: dict[int | None, dict[str, Any]] = {None: {"color": FEATURE, "lw": 2.0}}
    for i, width in enumerate(finite):
        share = i / max(1, len(finite) - 1)
        styles[width] = {"color": tuple(_NARROW + share * (_WIDE - _NARROW)), "lw": 1.3}
    return styles
