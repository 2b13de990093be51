"""Drawings of convergence: every run, the fit with its slope, and the theory's beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...figures import INK, SERIES, mark_widths, style_axes, write_head
from ...stats import with_ends
from ...theory import Convergence, PowerLawFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPAN = 10.0  # at least a decade on the axis of a size


def draw_convergence(results: Sequence[Convergence]) -> Figure:
    """Distance to the limit and movement of features against the width, on log scales.

    Every run is a faint mark, each width's geometric mean a full one; lines are the fitted powers,
    and dashed the power that theory gives the distance.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.9), facecolor="white")
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.83, bottom=0.135, wspace=0.2)
    _panel(left, [(result.case.name, result.distance) for result in results])
    _panel(right, [(result.case.name, result.movement) for result in results])
    _theory(left, results)
    style_axes(left, "distance of outputs from the limit", "width n (log scale)")
    style_axes(right, "movement of the last features", "width n (log scale)")
    seeds = sorted({result.distance.runs.shape[1] for result in results})
    title = "Finite networks beside their infinite-width limits"
    note = (
        f"Faint: {seeds[0]} networks at each width, root mean square over steps and tests. Full: "
        "their geometric means. Slopes with 95 % intervals."
    )
    write_head(figure, title, note, (0.945, 0.902))
    return figure


def draw_movement(results: Sequence[Convergence]) -> Figure:
    """How far features move: in the limit by step and layer, and in networks of each width.

    Args:
        results: Cases that have the movement of their limit by step.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.9), facecolor="white")
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.83, bottom=0.135, wspace=0.2)
    for place, result in enumerate(results):
        _by_step(left, result, SERIES[place % len(SERIES)][0])
    left.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    left.set_ylim(bottom=0, top=left.get_ylim()[1] * 1.35)  # room for the legend
    _panel(right, [(result.case.name, result.movement) for result in results])
    for place, result in enumerate(results):
        if result.limit_movement > 0:
            color = SERIES[place % len(SERIES)][0]
            right.axhline(result.limit_movement, color=color, lw=1.2, ls=(0, (5, 3)), zorder=1)
    style_axes(left, "in the limit, layer by layer", "step of training")
    style_axes(right, "last layer, networks of each width", "width n (log scale)")
    note = (
        "Root mean square change of features since before training. Right: faint are single "
        "networks, dashed is the limit; slopes with 95 % intervals."
    )
    write_head(figure, "How far do features move in training?", note, (0.945, 0.902))
    return figure


def _by_step(axes: Axes, result: Convergence, color: str) -> None:
    """A line for each layer of a limit, the last one strongest; one for a kernel."""
    moved = result.limit_movements
    if moved is None:
        return
    name, layers = result.case.name, moved.shape[1]
    if not moved.any():
        axes.plot(np.zeros(len(moved)), color=color, lw=1.8, label=f"{name}: a kernel, none moves")
        return
    for layer in range(layers):
        share, label = (layer + 1) / layers, f"{name}: layer {layer + 1}"
        alpha = 0.35 + 0.65 * share
        axes.plot(moved[:, layer], color=color, lw=1 + share, alpha=alpha, label=label)


def _panel(axes: Axes, rates: Sequence[tuple[str, PowerLawFit]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for place, (name, rate) in enumerate(rates):
        color, marker = SERIES[place % len(SERIES)]
        shift = 1.03 ** (
            place - (len(rates) - 1) / 2
        )  # so that runs of two cases can be told apart
        x = np.asarray(rate.widths, dtype=np.float64) * shift
        runs = np.repeat(x, rate.runs.shape[1])
        axes.plot(runs, rate.runs.ravel(), marker, color=color, ms=3, alpha=0.22, mew=0, zorder=2)
        line = rate.size_at_one * np.asarray(rate.widths, dtype=np.float64) ** rate.slope.value
        axes.plot(x, line, color=color, lw=1.4, zorder=3)
        slope = with_ends(rate.slope.value, *rate.slope.interval())
        slope = slope.replace("-", "\N{MINUS SIGN}")
        axes.plot(
            x, rate.sizes, marker, color=color, ms=6, mew=0, zorder=4, label=f"{name}: {slope}"
        )
    widths = sorted({width for _, rate in rates for width in rate.widths})
    axes.set_yscale("log")
    mark_widths(axes, widths)
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_ylim()
    high *= 1.25 * max(1.0, _SPAN / (high / low)) ** 0.5  # so that what is level looks level
    low /= (max(high / low, _SPAN)) ** (0.15 + 0.05 * len(rates))  # room for what the marks mean
    axes.set_ylim(low, high)
    subs = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.legend(
        loc="lower left", frameon=False, fontsize=9, labelcolor=INK, title="slope", title_fontsize=9
    )
    axes.get_legend()._legend_box.align = "left"  # type: ignore[union-attr]


def _theory(axes: Axes, results: Sequence[Convergence]) -> None:
    """One dashed line of each expected slope, a little above the highest fit."""
    for slope in sorted({result.expected for result in results if result.expected is not None}):
        rates = [result.distance for result in results if result.expected == slope]
        ends = np.array([rates[0].widths[0], rates[0].widths[-1]], dtype=np.float64)
        top = max(rate.size_at_one * ends[0] ** rate.slope.value for rate in rates)
        line = 1.5 * top * (ends / ends[0]) ** float(slope)
        axes.plot(ends, line, color=INK, lw=1.2, ls=(0, (5, 3)), zorder=3)
        middle = float(np.sqrt(ends.prod()))
        axes.annotate(
            f"slope \N{MINUS SIGN}{-slope}, the theory",
            (middle, float(np.sqrt(line.prod()))),
            (6, 6),
            textcoords="offset points",
            color=INK,
            size=9.5,
        )
