"""Figures of costs over those of dense: sizes, speeds, and all that `widthwise measure` tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import RunError
from ..figures import INK, MUTED
from ..findings import Grid, GridRow, build_grid, network_of, parents_of, speed_ratio
from ..stats import Estimate
from ..study import Record
from .figures import draw_line, reference_line, style_ratio_axes
from .styles import DENSE_STYLE, style_of, workload_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COSTS = {  # what `measure` calls it: title of its figure, and where better lies
    "ttft": ("first token", "time, below 1 is faster"),
    "tpot": ("next token", "time, below 1 is faster"),
    "throughput": ("throughput", "tokens per second, above 1 is faster"),
    "joules": ("joules", "per token, below 1 is less"),
    "working": ("working memory", "the most beyond the weights, below 1 is less"),
}
_DRAWN = 6  # workloads in one figure


def sizes_drawn(grid: Grid, others: Sequence[Grid]) -> tuple[Record, ...]:
    """What is drawn of sizes: those of a checkpoint that was cut beside its parent's.

    Alone it has none: it would be all of itself.
    """
    sizes = tuple(record for quantity in grid.sizes for record in grid.column(quantity))
    if grid.origin is None or grid.dense is None:
        return sizes
    for parent in parents_of(grid, others):
        records = [r for q in grid.sizes if (r := parent.of_dense(q)) and r.value]
        if len(records) == len(grid.sizes) and not parent.origin:
            label = grid.dense.whole
            renamed = (
                replace(r, criterion=r.criterion or label, model=parent.model) for r in sizes
            )
            return (*records, *renamed)
    return sizes if grid.criteria else ()


def plot_size(records: Sequence[Record], ax: Axes) -> Axes:
    """Draw parameters and bytes over those of dense against I/H; exact, so without intervals.

    Raises:
        RunError: As `build_grid`, or no dense record to divide by.
    """
    grid = build_grid(records)
    looks = (("-", "o", MUTED, MUTED, 3.5), ("--", "s", INK, "none", 7))
    for quantity, (line, marker, color, face, size) in zip(grid.sizes, looks, strict=False):
        _, dense = _whole(grid, quantity)
        by_width = {n.expansion_ratio: grid.cells.get((n, quantity)) for n in grid.networks}
        points = [(x, r.value / dense) for x, r in by_width.items() if r and r.value]
        x, y = zip(*sorted(points), strict=True)
        ax.plot(x, y, line, marker=marker, color=color, ms=size, mfc=face, lw=1.2, label=quantity)
    _beside_dense(ax, grid.networks, "size", "parameters and bytes, times {}, exact")
    ax.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="lower left")
    return ax


def plot_speed(records: Sequence[Record], ax: Axes) -> Axes:
    """Draw one speed over that of dense against I/H: repeats, their means, 95 % intervals.

    Raises:
        RunError: As `build_grid`, records of more than one quantity, or none of dense.
    """
    grid = build_grid(records)
    if len(grid.quantities) > 1:
        raise RunError(f"one figure shows one quantity; got {', '.join(grid.quantities)}")
    (quantity,) = grid.quantities
    dense, _ = _whole(grid, quantity)
    dense_ratio = {network_of(dense): Estimate(value=1.0, standard_error=None, n=dense.n)}
    for criterion in grid.criteria:
        ratios = {
            n: speed_ratio(grid, grid.cells.get((n, quantity))) for n in grid.cut_by(criterion)
        }
        if any(ratios.values()):
            draw_line(ax, {**dense_ratio, **ratios}, style_of(criterion), criterion, 0.0)
    draw_line(ax, dense_ratio, DENSE_STYLE, network_of(dense).whole, 0.0)
    for record in grid.column(quantity):
        if record.criterion is None or len(record.items) != len(dense.items):
            continue
        x = [record.expansion_ratio] * len(record.items)
        y = [item / other for item, other in zip(record.items, dense.items, strict=True)]
        color = style_of(record.criterion).color
        ax.plot(x, y, ".", color=color, ms=3, alpha=0.35, zorder=1.5, label="_repeats")
    _beside_dense(ax, grid.networks, quantity, "tokens per second, times {}")
    return ax


def plot_cost(ratios: Mapping[str, Mapping[GridRow, Estimate]], what: str, ax: Axes) -> Axes:
    """Draw one cost of every workload over that of dense against I/H, with 95 % intervals.

    Args:
        ratios: As `cost_ratios` returns them; of more than six workloads the first six are drawn.
        what: A key of `COSTS`.
        ax: Axes of any matplotlib figure.
    """
    shown = dict(list(ratios.items())[:_DRAWN])
    networks = [n for column in shown.values() for n in column]
    wide = max(n.expansion_ratio for n in networks) - min(n.expansion_ratio for n in networks)
    for index, (workload, style) in enumerate(workload_styles(list(shown)).items()):
        shift = (index - (len(shown) - 1) / 2) * 0.012 * wide
        draw_line(ax, shown[workload], style, workload, shift)
    _beside_dense(ax, networks, *COSTS[what])
    return ax


def _whole(grid: Grid, quantity: str) -> tuple[Record, float]:
    """The record of dense and its value."""
    dense = grid.of_dense(quantity)
    if dense is None or not dense.value:
        raise RunError(f"{quantity} has no dense record; measure the dense model as well")
    return dense, dense.value


def _beside_dense(ax: Axes, networks: Sequence[GridRow], title: str, subtitle: str) -> None:
    """The level of dense, or of a checkpoint that was cut before as it is stored."""
    whole = next((n.whole for n in networks if n.criterion is None), "dense")
    reference_line(ax, 1.0, f"{whole}\n1.00", "dense-level")
    style_ratio_axes(ax, [n.expansion_ratio for n in networks], title, subtitle.format(whole))
    ax.set_ylim(0, 1.06 * ax.get_ylim()[1])
