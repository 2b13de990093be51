"""Figures of scores: against the expansion ratio, and against what a network costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import RunError
from ..figures import INK, MUTED, PAGE, style_frame
from ..findings import CONFIDENCE, Front, FrontPoint, Grid, GridRow, build_grid, estimate_of
from ..stats import Estimate, number, unit_text
from ..study import Record, names_its_unit, quantity_text
from .styles import DENSE_STYLE, Style, style_in, style_of
from .svg import LEFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECADE = 10.0  # a wider range is drawn on a log scale
_FLOOR = (0, (5, 3))
SHIFT = 0.012  # of the range of x, between two criteria at one width


def plot_quality(records: Sequence[Record], ax: Axes) -> Axes:
    """Draw one score against I/H, dense on the left: points, 95 % intervals, the floor dashed.

    A score without an upper bound (lower is better) that spans more than tenfold, its floor
    included, is drawn on a log scale; an interval that reaches 0 then ends at the lower edge.

    Args:
        records: Of one quantity; missing values leave a gap.
        ax: Axes of any matplotlib figure.

    Raises:
        RunError: As `build_grid`, or records of more than one quantity.
    """
    return plot_qualities({"": build_grid(records)}, ax)


def plot_qualities(studies: Mapping[str, Grid], ax: Axes) -> Axes:
    """Draw one score of several studies into one panel, as `plot_quality` draws one.

    Each study has a colour and a line, each criterion its marker; a floor that not all studies
    share is drawn for each, in its colour.

    Args:
        studies: Each of one quantity, the same one, by the name of the study; an empty one
            keeps the place, and so the look, of a study that does not have it.
        ax: Axes of any matplotlib figure.

    Raises:
        RunError: Records of more than one quantity.
    """
    several = len(studies) > 1
    grids = [(index, grid) for index, grid in enumerate(studies.values()) if grid.networks]
    quantities = list(dict.fromkeys(q for _, grid in grids for q in grid.quantities))
    if len(quantities) != 1:
        raise RunError(f"one figure shows one quantity; got {', '.join(quantities)}")
    (quantity,) = quantities
    column = [r for _, grid in grids for r in grid.column(quantity)]
    log = _wants_log(column)
    ratios = [r.expansion_ratio for r in column]
    drawn = [(index, grid, criterion) for index, grid in grids for criterion in grid.criteria]
    for number_, (index, grid, criterion) in enumerate(drawn):
        style = style_in(index, criterion) if several else style_of(criterion)
        shift = (number_ - (len(drawn) - 1) / 2) * SHIFT * axis_range(ratios)
        places = (*([grid.dense] if grid.dense else []), *grid.cut_by(criterion))
        scores = {n: estimate_of(grid.cells.get((n, quantity))) for n in places}
        draw_line(ax, scores, style, criterion, shift)
    for index, grid in grids:
        if grid.dense:
            style = style_in(index, None) if several else DENSE_STYLE
            score = {grid.dense: estimate_of(grid.of_dense(quantity))}
            draw_line(ax, score, style, grid.dense.whole, 0.0)
    sample = grids[0][1].sample(quantity)
    _draw_floors(ax, {index: grid.sample(quantity) for index, grid in grids})
    better = {True: "higher is better", False: "lower is better", None: ""}[sample.higher_is_better]
    words = [unit_text(sample.unit), better, "log scale" if log else ""]
    style_ratio_axes(ax, ratios, quantity, ", ".join(filter(None, words)))
    if log:
        floors = [r.floor for r in column if r.floor is not None]
        scale_by_log(ax, [found for r in column if (found := estimate_of(r))], floors)
    return ax


def plot_front(front: Front, ax: Axes) -> Axes:
    """Draw one quality against one cost: both intervals, and the front as steps.

    A network on the front is filled, a ring where intervals leave it open, faint off the front;
    where no error is known there is no interval.
    """
    on = [p for p in front.points if p.on_front]
    where = "steps-post" if front.lower_is_better else "steps-pre"
    x, y = [p.cost for p in on], [p.value for p in on]
    ax.plot(x, y, color=MUTED, lw=1.1, drawstyle=where, gid="front")
    for point in front.points:
        _draw_front_point(ax, point)
    floors = {point.floor for point in front.points if point.floor is not None}
    if len(floors) == 1:
        (floor,) = floors
        reference_line(ax, floor, f"floor\n{number(floor, front.quality_unit)}", "floor")
    way = "less is better" if front.lower_is_better else "more is better"
    set_titles(ax, front.quality, f"against {quantity_text(front.cost)}, {way}")
    _plain_ticks(ax, front)
    unit = "" if names_its_unit(front.cost) else f" [{_unit(front)[1]}]"
    ax.set_xlabel(f"{quantity_text(front.cost)}{unit}", color=MUTED, size=9.5)
    return ax


def draw_line(
    ax: Axes, points: Mapping[GridRow, Estimate | None], style: Style, name: str, shift: float
) -> None:
    """Points with bars; a line joins neighbours, and breaks where a value is missing."""
    nan = float("nan")
    x = [n.expansion_ratio - (shift if n.criterion is not None else 0) for n in points]
    y = [nan if e is None else e.value for e in points.values()]
    half = [(nan, nan) if e is None else error_bars(e) for e in points.values()]
    joined = not all(n.criterion is None for n in points)
    line = style.line if joined else ""
    ax.plot(x, y, line, color=style.color, lw=1.3, zorder=2, gid=f"line-{name}")
    chosen = [i for i, n in enumerate(points) if not joined or n.criterion is not None]
    ax.errorbar(
        [x[i] for i in chosen],
        [y[i] for i in chosen],
        yerr=[[half[i][side] for i in chosen] for side in (0, 1)],
        marker=style.marker,
        ls="",
        color=style.color,
        ms=4.5 if style.marker in "osD" else 6,
        mew=0,
        elinewidth=1.2,
        capsize=0,
        zorder=4 if not joined else 3,
        label=name,
    )


def error_bars(estimate: Estimate) -> tuple[float, float]:
    """From the value to both ends of its interval; 0 where the error is unknown: a bare point."""
    low, high = estimate.interval(CONFIDENCE)
    if low == -float("inf") or high == float("inf"):
        return 0.0, 0.0
    return estimate.value - low, high - estimate.value


def reference_line(ax: Axes, y: float, text: str, gid: str, color: str = MUTED) -> None:
    """A dashed line over the whole width, named outside the axes where no data can be hidden."""
    ax.axhline(y, color=color, lw=1.1, ls=_FLOOR, zorder=1, gid=gid)
    ax.annotate(
        text,
        (1, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(5, 0),
        textcoords="offset points",
        color=color,
        fontsize=9.5,
        va="center",
        annotation_clip=False,
        linespacing=1.1,
    )


def style_ratio_axes(ax: Axes, ratios: Sequence[float], title: str, subtitle: str) -> None:
    """What all panels share: I/H falls to the right, ticks at the ratios that were measured."""
    values, wide = sorted(set(ratios), reverse=True), axis_range(ratios)
    ticks = values[:1]
    for ratio in values[1:]:
        if ticks[-1] - ratio > 0.11 * wide:
            ticks.append(ratio)
    ax.set_xlim(values[0] + 0.06 * wide, values[-1] - 0.06 * wide)
    ax.set_xticks(ticks, [f"{tick:.2f}" for tick in ticks])
    ax.set_xlabel("expansion ratio I/H", color=MUTED, size=9.5)
    set_titles(ax, title, subtitle)


def set_titles(ax: Axes, title: str, subtitle: str) -> None:
    """Title and subtitle flush with the panel's left edge, as the caption below it is."""
    for text, above, color, size, weight in (
        (title, 26, INK, 12.5, "bold"),
        (subtitle, 12, MUTED, 9.5, "normal"),
    ):
        ax.annotate(
            text,
            (0, 1),
            xycoords="axes fraction",
            xytext=(-LEFT, above),
            textcoords="offset points",
            annotation_clip=False,
            color=color,
            size=size,
            weight=weight,
        )
    ax.tick_params(colors=MUTED, labelsize=9.5, length=0, pad=5)
    ax.patch.set_visible(False)
    style_frame(ax)


def share_limits(axes: Sequence[Axes]) -> None:
    """Give the axes one common range of y, so that panels can be compared by eye."""
    if axes:
        limits = [ax.get_ylim() for ax in axes]
        for ax in axes:
            ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def axis_range(ratios: Sequence[float]) -> float:
    return (max(ratios) - min(ratios)) or 1.0


def _draw_floors(ax: Axes, samples: Mapping[int, Record]) -> None:
    """One line where all agree; else one for each study, in its colour, named together."""
    floors = {index: r.floor for index, r in samples.items() if r.floor is not None}
    if len(set(floors.values())) == 1:
        index, floor = next(iter(floors.items()))
        reference_line(ax, floor, f"floor\n{number(floor, samples[index].unit)}", "floor")
        return
    for index, floor in floors.items():
        text = "floors" if floor == max(floors.values()) else ""
        reference_line(ax, floor, text, "floor", style_in(index, None).color)


def _draw_front_point(ax: Axes, point: FrontPoint) -> None:
    style = style_of(point.criterion)
    ax.errorbar(
        [point.cost],
        [point.value],
        xerr=_around(point.cost, point.cost_low, point.cost_high),
        yerr=_around(point.value, point.low, point.high),
        marker=style.marker,
        ls="",
        color=style.color,
        mfc=style.color if point.sure or not point.on_front else PAGE,
        alpha=1.0 if point.on_front else 0.4,
        ms=5 if style.marker in "osD" else 6.5,
        mew=1.2 if point.on_front else 0,
        elinewidth=1.0,
        zorder=4 if point.on_front else 3,
        label=point.label,
    )


def _around(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    """An interval as matplotlib takes it; None where no error is known."""
    return None if low is None or high is None else [[value - low], [high - value]]


def _unit(front: Front) -> tuple[float, str]:
    """What the costs are divided by on the axis, and the unit that it leaves."""
    most = max((abs(p.cost) for p in front.points), default=1.0)
    if front.unit == "sec":
        return (1.0, "s") if most >= 1 else (1e-3, "ms")
    if front.unit in ("bytes", "count"):
        sign = "B" if front.unit == "bytes" else ""
        for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if most >= scale:
                return scale, prefix + sign
    return 1.0, front.unit.replace("_per_", " / ").replace("_", " ")


def _plain_ticks(ax: Axes, front: Front) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    scale, _ = _unit(front)
    ax.margins(x=0.08, y=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / scale:,.4g}"))


def _wants_log(column: Sequence[Record]) -> bool:
    """Whether a score of which lower is better spans more than `_DECADE`, its floor included."""
    if any(r.higher_is_better is not False for r in column if r.value is not None):
        return False
    drawn = [v for r in column for v in (r.value, r.floor) if v is not None]
    return bool(drawn) and min(drawn) > 0 and max(drawn) > _DECADE * min(drawn)


def scale_by_log(ax: Axes, estimates: Sequence[Estimate], marks: Sequence[float] = ()) -> None:
    """The log scale, around all that is drawn and above 0.

    Args:
        ax: Where it is drawn.
        estimates: The points, with their intervals.
        marks: What is drawn beside them.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    drawn = list(marks)
    for estimate in estimates:
        below, above = error_bars(estimate)
        drawn += [estimate.value, estimate.value - below, estimate.value + above]
    points = [estimate.value for estimate in estimates]
    low = max(min(v for v in drawn if v > 0), min(points) / _DECADE)
    high = max(drawn)
    pad = (high / low) ** 0.06
    ax.set_yscale("log", nonpositive="clip")
    ax.set_ylim(low / pad, high * pad)
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 1000 * low else (1.0,)))
    ax.yaxis.set_major_formatter(FuncFormatter(_tick))
    ax.yaxis.set_minor_locator(NullLocator())


def _tick(y: float, _: int) -> str:
    """A tick of a log scale."""
    return f"{y:.0e}" if y >= 1e5 else f"{y:,.0f}" if y >= 1 else f"{y:.1g}"
