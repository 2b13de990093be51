"""The coordinate check drawn: each layer's slope with its interval, and how far layers moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...figures import INK, MUTED, RULE, SERIES, UNSTABLE, mark_widths, style_axes, write_head
from ...mup import CoordinateCheck

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = {"pass": "o", "fail": "X", "undecided": "s"}
_LINE_INCHES = 0.13  # of a label beside the right panel


def draw_coordinates(check: CoordinateCheck, title: str) -> Figure:
    """Slopes by layer at the left, beside the band that passes; at the right sizes over widths.

    A layer has the same number and colour in both; its mark is its verdict. Every run is a faint
    mark, each width's geometric mean a full one; lines are the fitted powers.

    Args:
        check: What the check gave.
        title: What it was done on.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    height = max(4.5, 1.7 + 0.24 * len(check.layers))
    figure = Figure(figsize=(11, height), facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    longest = 4 + max(map(len, check.layers))  # with its number
    figure.subplots_adjust(
        left=min(0.42, 0.02 + 0.0068 * longest),
        right=0.96,
        top=1 - 1.0 / height,
        bottom=0.6 / height,
        wspace=0.2,
    )
    _slopes(left, check)
    _sizes(right, check)
    _numbers(right, check, _LINE_INCHES / (height - 1.6))
    handles = [
        Line2D([], [], color=INK, marker=marker, lw=0, label=verdict)
        for verdict, marker in _MARKS.items()
    ]
    figure.legend(handles=handles, loc="upper right", ncols=3, frameon=False, labelcolor=INK)
    seeds = check.changes[0].runs.shape[1]
    note = (
        f"Change of each layer's output after {check.steps} steps (open: its size before them), "
        f"{seeds} networks at each {check.axis}. All intervals together hold with 95 %."
    )
    heights = (1 - 0.3 / height, 1 - 0.55 / height)
    write_head(figure, f"{title}: {check.overall_verdict}", note, heights)
    return figure


def _slopes(axes: Axes, check: CoordinateCheck) -> None:
    axes.axvspan(-check.margin, check.margin, color=UNSTABLE, zorder=0)
    axes.axvline(0, color=RULE, lw=1, zorder=1)
    for layer, rate in enumerate(check.changes):
        color, marker = _color(layer), _MARKS[check.verdict(layer)]
        axes.plot(check.interval(layer), (layer, layer), color=color, lw=1.8, zorder=2)
        axes.plot(rate.slope.value, layer, marker, color=color, ms=6, mew=0, zorder=3)
        start, verdict = check.start_interval(layer), check.start_verdict(layer)
        if start is not None and verdict is not None:
            y = layer + 0.3
            axes.plot(start, (y, y), color=color, lw=0.9, zorder=2)
            mark = axes.plot(sum(start) / 2, y, _MARKS[verdict], color=color, ms=4, zorder=3)
            mark[0].set(markerfacecolor="white", markeredgewidth=0.9)
    names = [f"{layer}  {place}" for place, layer in enumerate(check.layers, start=1)]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(check.layers) - 0.4, -0.6)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.6), max(high, 0.6))
    below = f"slope; the band to {check.margin:g} passes"
    style_axes(axes, f"slope over the {check.axis}, with its interval", below, grid=False)
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_color(_color(place))


def _sizes(axes: Axes, check: CoordinateCheck) -> None:
    for layer, rate in enumerate(check.changes):
        color, marker = _color(layer), _MARKS[check.verdict(layer)]
        x = np.asarray(rate.widths, dtype=np.float64)
        every = np.repeat(x, rate.runs.shape[1])
        axes.plot(every, rate.runs.ravel(), marker, color=color, ms=2.5, alpha=0.2, mew=0)
        axes.plot(x, rate.size_at_one * x**rate.slope.value, color=color, lw=1, alpha=0.8)
        axes.plot(x, rate.sizes, marker, color=color, ms=4.5, mew=0)
    axes.set_yscale("log")
    mark_widths(axes, check.changes[0].widths)
    title = f"size over the {check.axis}, one line a layer, by its number"
    below = "width n" if check.axis == "width" else "number of layers"
    style_axes(axes, title, f"{below} (both scales log)")
    axes.set_ylabel("root mean square change of the output", color=MUTED)


def _numbers(axes: Axes, check: CoordinateCheck, gap: float) -> None:
    """The number of each layer beside the right end of its line; none on another."""
    low, high = np.log(axes.get_ylim())
    wide = check.changes[0].widths[-1]
    ends = [rate.size_at_one * wide**rate.slope.value for rate in check.changes]
    heights = (np.log(ends) - low) / (high - low)
    order = np.argsort(heights)
    for place, beside in zip(order[1:], order, strict=False):
        heights[place] = max(heights[place], heights[beside] + gap)
    heights[order[-1]] = min(heights[order[-1]], 1)
    for place, beside in zip(order[-2::-1], order[:0:-1], strict=True):
        heights[place] = min(heights[place], heights[beside] - gap)
    for layer in range(len(ends)):
        axes.annotate(
            str(layer + 1),
            (wide, ends[layer]),
            (1.03, heights[layer]),
            textcoords="axes fraction",
            color=_color(layer),
            size=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": RULE, "lw": 0.6, "shrinkA": 0},
        )


def _color(layer: int) -> str:
    return SERIES[layer % len(SERIES)][0]
