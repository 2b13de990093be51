"""The coordinate check drawn: each layer's slope with its interval, and how far layers moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..figures import FEATURE, INK, KERNEL, MUTED, RULE, UNSTABLE
from .coordinates import Coordinates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {"pass": (KERNEL, "o"), "fail": (FEATURE, "X"), "undecided": (MUTED, "s")}


def draw_coordinates(found: Coordinates, title: str) -> Figure:
    """Slopes by layer at the left, beside the band that passes; at the right sizes over widths.

    Every run is a faint mark, each width's geometric mean a full one; lines are the fitted powers.

    Args:
        found: What the check gave.
        title: What it was done on.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    height = max(4.5, 1.7 + 0.24 * len(found.layers))
    figure = Figure(figsize=(11, height), facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    longest = max(map(len, found.layers))
    figure.subplots_adjust(
        left=min(0.4, 0.02 + 0.0068 * longest),
        right=0.985,
        top=1 - 1.0 / height,
        bottom=0.6 / height,
        wspace=0.16,
    )
    _slopes(left, found)
    _sizes(right, found)
    figure.text(
        0.012, 1 - 0.3 / height, f"{title}: {found.whole}", size=13, weight="bold", color=INK
    )
    handles = [
        Line2D([], [], color=color, marker=marker, lw=1.8, label=verdict)
        for verdict, (color, marker) in _LOOKS.items()
    ]
    figure.legend(handles=handles, loc="upper right", ncols=3, frameon=False, labelcolor=INK)
    seeds = found.changes[0].runs.shape[1]
    note = (
        f"Change of each layer's output after {found.steps} steps, {seeds} networks at each width. "
        "All intervals together hold with 95 %."
    )
    figure.text(0.012, 1 - 0.55 / height, note, size=9.5, color=MUTED)
    return figure


def _slopes(axes: Axes, found: Coordinates) -> None:
    axes.axvspan(-found.margin, found.margin, color=UNSTABLE, zorder=0)
    axes.axvline(0, color=RULE, lw=1, zorder=1)
    for layer, rate in enumerate(found.changes):
        color, marker = _LOOKS[found.verdict(layer)]
        axes.plot(found.interval(layer), (layer, layer), color=color, lw=1.8, zorder=2)
        axes.plot(rate.slope.value, layer, marker, color=color, ms=6, mew=0, zorder=3)
    axes.set_yticks(range(len(found.layers)), found.layers)
    axes.set_ylim(len(found.layers) - 0.4, -0.6)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.6), max(high, 0.6))
    axes.set_title("slope over the width", loc="left", color=INK, size=10.5, pad=8)
    axes.set_xlabel(f"slope; the band to {found.margin:g} passes", color=MUTED)
    _plain(axes)


def _sizes(axes: Axes, found: Coordinates) -> None:
    for layer, rate in enumerate(found.changes):
        color, marker = _LOOKS[found.verdict(layer)]
        x = np.asarray(rate.widths, dtype=np.float64)
        every = np.repeat(x, rate.runs.shape[1])
        axes.plot(every, rate.runs.ravel(), marker, color=color, ms=2.5, alpha=0.2, mew=0)
        axes.plot(x, rate.size_at_one * x**rate.slope.value, color=color, lw=1, alpha=0.8)
        axes.plot(x, rate.sizes, marker, color=color, ms=4.5, mew=0)
    widths = found.changes[0].widths
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(widths, [f"{width:,}" for width in widths])
    axes.minorticks_off()
    axes.set_title(
        "root mean square change, one line a layer", loc="left", color=INK, size=10.5, pad=8
    )
    axes.set_xlabel("width n (both scales log)", color=MUTED)
    axes.grid(axis="y", color=RULE, lw=0.8)
    axes.set_axisbelow(True)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(colors=MUTED, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)
