"""Panels of the page: a figure, what it says point by point, and its data and itself as files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..findings import (
    CONFIDENCE,
    Front,
    Grid,
    GridRow,
    cost_ratios,
    estimate_of,
    network_of,
    score_text,
    speed_ratio,
)
from ..stats import Estimate, estimate_text, grouped, interval_text, number, with_error
from ..study import Quantity, Record, quantity_text
from . import cost_figures, figures
from .csv_links import csv_data_uri
from .model_results import ModelResults
from .network_table import floor_text
from .provenance import format_n_range
from .styles import style_in, style_of, workload_styles
from .svg import css_color, panel, standalone_svg_uri, to_svg, to_viewbox

_FIRST, _OTHERS = 6, 3  # fronts that are drawn of the first quality and of each other one

TipRow = tuple[str, str, str, str]  # glyph, colour, name and value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Tooltip(NamedTuple):
    """What is told at one place of a figure, as the page reads it.

    Attributes:
        x: Of the place, in the units of the figure's `viewBox`.
        y: The same; None for a whole column.
        head: Its heading.
        rows: Glyph, colour, name and value of every point there.
    """

    x: float
    y: float | None
    head: str
    rows: tuple[TipRow, ...]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One figure of the page.

    Attributes:
        title: What it shows.
        svg: The figure as an element.
        caption: Items, floor and gaps.
        tips: JSON of its `Tooltip`s.
        csv: Link to the data that are drawn.
        file: Link to the figure as an SVG file.
        stem: Of both files' names.
    """

    title: str
    svg: str
    caption: str
    tips: str
    csv: str
    file: str
    stem: str


def quality_panels(
    series: Sequence[ModelResults], quantities: Sequence[str], *, prefix: str = "score"
) -> list[Panel]:
    """A panel a score, all series in each; accuracies share one range of y.

    Args:
        series: One or several, all with different names.
        quantities: To draw.
        prefix: Of every identifier.
    """
    rated = [result for result in series if result.grid.quality]
    drawn = {quantity: panel() for quantity in quantities}
    for quantity, (_, ax) in drawn.items():
        figures.plot_qualities({result.name: _only(result, quantity) for result in rated}, ax)
    shares = {r.quantity for result in rated for r in result.records if r.unit == "accuracy"}
    figures.share_limits([ax for quantity, (_, ax) in drawn.items() if quantity in shares])
    return [
        _quality_panel(figure, ax, quantity, rated, f"{prefix}-{i}")
        for i, (quantity, (figure, ax)) in enumerate(drawn.items())
    ]


def size_panels(series: ModelResults, others: Sequence[Grid] = ()) -> list[Panel]:
    """Sizes and speeds of one series beside dense, as far as dense was measured.

    Args:
        series: The networks.
        others: What else is at hand: sizes of a checkpoint that was cut are shares of its parent's.
    """
    grid = series.grid
    sizes = cost_figures.sizes_drawn(grid, others)
    dense = {record.quantity for record in sizes if record.criterion is None and record.value}
    timed = [q for q in grid.speeds if any(not r.criterion and r.value for r in grid.column(q))]
    wanted = [("size", sizes)] if sizes and dense == set(grid.sizes) else []
    wanted += [(quantity, grid.column(quantity)) for quantity in timed]
    panels = []
    for title, column in wanted:
        figure, ax = panel()
        (cost_figures.plot_size if title == "size" else cost_figures.plot_speed)(column, ax)
        caption = "Exact counts" if title == "size" else f"n = {format_n_range(column)} rounds"
        tips = _size_tips(ax, grid, column)
        name = f"size-{slug(series.name)}-{slug(title)}"
        data = _points_csv((series.name, record, "") for record in column)
        panels.append(
            make_panel(figure, name=name, title=title, caption=caption, tips=tips, data=data)
        )
    return panels


def cost_panels(series: ModelResults) -> list[Panel]:
    """What `widthwise measure` told over that of dense, a panel a cost, a line a workload."""
    panels = []
    for what, (title, _) in cost_figures.COSTS.items():
        ratios = cost_ratios(series.costs, what)
        if not ratios:
            continue
        figure, ax = panel()
        cost_figures.plot_cost(ratios, what, ax)
        place = ("criterion", "asked", "width", "expansion_ratio")
        rows = [
            (workload, *(getattr(network, name) for name in place), ratio.value, *_ends(ratio))
            for workload, column in ratios.items()
            for network, ratio in column.items()
        ]
        panels.append(
            make_panel(
                figure,
                name=f"cost-{slug(series.name)}-{what}",
                title=title,
                caption="Times dense, median within rounds",
                tips=_cost_tips(ax, ratios),
                data=csv_data_uri([("workload", *place, "ratio", "low", "high"), *rows]),
            )
        )
    return panels


def front_panels(fronts: Sequence[Front], name: str) -> list[tuple[str, list[Panel]]]:
    """The fronts by quality, a panel a cost: six costs of the first quality, three of the others;
    of each kind of cost the first workload comes before the second."""
    panels = []
    for index, front in enumerate(_few(fronts)):
        figure, ax = panel()
        figures.plot_front(front, ax)
        header = tuple(asdict(front.points[0]))
        rows = [tuple(asdict(point).values()) for point in front.points]
        made = make_panel(
            figure,
            name=f"front-{slug(name)}-{index}",
            title=f"{front.quality} against {quantity_text(front.cost)}",
            caption=_front_caption(front),
            tips=_front_tips(ax, front),
            data=csv_data_uri([header, *rows]),
        )
        panels.append((front.quality, made))
    return list(grouped(panels).items())


def _few(fronts: Sequence[Front]) -> list[Front]:
    kept: list[Front] = []
    for of_quality in grouped((front.quality, front) for front in fronts).values():
        kinds = [Quantity.parse(front.cost).metric for front in of_quality]
        order = sorted(range(len(kinds)), key=lambda i: (kinds[:i].count(kinds[i]), i))
        kept += [of_quality[i] for i in sorted(order[: _OTHERS if kept else _FIRST])]
    return kept


def make_panel(
    figure: Figure, *, name: str, title: str, caption: str, tips: Sequence[Tooltip], data: str
) -> Panel:
    """A figure as a panel, its legend in the file alone; `name` begins all its identifiers."""
    legend = dict.fromkeys(row[:3] for tip in tips for row in tip.rows if row[0])
    words = "; ".join(
        f"{tip.head}: {', '.join(f'{row[2]} {row[3]}' for row in tip.rows)}" for tip in tips
    )
    svg = to_svg(figure, name=name, title=title, description=f"{words}.")
    return Panel(
        title=title,
        svg=svg,
        caption=caption,
        tips=json.dumps(tips, ensure_ascii=False),
        csv=data,
        file=standalone_svg_uri(svg, list(legend)),
        stem=slug(title),
    )


def _quality_panel(
    figure: Figure, ax: Axes, quantity: str, series: Sequence[ModelResults], name: str
) -> Panel:
    several = len(series) > 1
    tips, data = [], []
    for index, result in enumerate(series):
        for record in result.grid.column(quantity):
            style = style_in(index, record.criterion) if several else style_of(record.criterion)
            label = network_of(record).shown
            label = f"{result.name}, {label}" if several else label
            row = (style.glyph, css_color(style.color), label, _score_text(result, record))
            tips.append((record.expansion_ratio, row))
            data.append((result.name, record, result.word(record)))
    return make_panel(
        figure,
        name=name,
        title=quantity,
        caption=_caption(series, quantity),
        tips=column_tips(ax, tips, f"{quantity} at "),
        data=_points_csv(data),
    )


def _score_text(result: ModelResults, record: Record) -> str:
    """Value, interval and verdict."""
    if record.value is None:
        return f"missing: {record.reason}"
    return ", ".join(filter(None, (value_text(record), result.word(record))))


def value_text(record: Record) -> str:
    """A value with its interval, if it has one."""
    score = estimate_of(record)
    assert score is not None  # the record has a value
    text = number(score.value, record.unit)
    if score.standard_error is None:
        return text
    return f"{text} {interval_text(*score.interval(CONFIDENCE), record.unit)}"


def _caption(series: Sequence[ModelResults], quantity: str) -> str:
    """Items, floor, and gaps."""
    grids = [result.grid for result in series if quantity in result.grid.quantities]
    column = [record for grid in grids for record in grid.column(quantity)]
    floors = dict.fromkeys(floor_text(grid.sample(quantity)) for grid in grids)
    sentences = [f"n = {format_n_range(column)}", *floors]
    gaps = [network_of(r).named for r in column if r.value is None]
    if gaps:
        sentences.append(f"missing: {', '.join(gaps)}, for reasons see the table")
    return "; ".join(sentences)


def _size_tips(ax: Axes, grid: Grid, column: Sequence[Record]) -> list[Tooltip]:
    tips: dict[tuple[float, TipRow], None] = {}
    for record in column:
        measured = estimate_of(record)
        if measured is None:
            continue
        style = style_of(record.criterion)
        text = with_error(measured, record.unit)
        ratio = speed_ratio(grid, record) if record.quantity in grid.speeds else None
        text += f", {estimate_text(ratio)} times dense" if ratio else ""
        name = record.quantity if record.quantity in grid.sizes else network_of(record).shown
        tips[record.expansion_ratio, (style.glyph, css_color(style.color), name, text)] = None
    return column_tips(ax, tips)


def _cost_tips(ax: Axes, ratios: Mapping[str, Mapping[GridRow, Estimate]]) -> list[Tooltip]:
    styles = workload_styles(list(ratios))
    tips = [
        (
            network.expansion_ratio,
            (style.glyph, style.color, workload, f"{estimate_text(ratio)} times dense"),
        )
        for workload, style in styles.items()
        for network, ratio in ratios[workload].items()
    ]
    return column_tips(ax, tips)


def column_tips(ax: Axes, tips: Iterable[tuple[float, TipRow]], head: str = "") -> list[Tooltip]:
    """What is told at each expansion ratio, from wide to narrow."""
    height = ax.get_ylim()[0]
    return [
        Tooltip(x=to_viewbox(ax, x, height)[0], y=None, head=f"{head}{x:.2f}x", rows=tuple(rows))
        for x, rows in sorted(grouped(tips).items(), reverse=True)
    ]


def _front_tips(ax: Axes, front: Front) -> list[Tooltip]:
    tips = []
    for point in front.points:
        x, y = to_viewbox(ax, point.cost, point.value)
        style = style_of(point.criterion)
        score = score_text(point, front.quality_unit)
        where = "on the front" if point.on_front else "off the front"
        if not point.sure:
            where += ", not beyond doubt"
        look = style.glyph, css_color(style.color)
        cost = number(point.cost, front.unit)
        rows = (
            (*look, front.quality, score),
            ("", "", quantity_text(front.cost), cost),
            ("", "", "", where),
        )
        tips.append(Tooltip(x=x, y=y, head=point.label, rows=rows))
    return tips


def _front_caption(front: Front) -> str:
    on = [point for point in front.points if point.on_front]
    sure = sum(point.sure for point in on)
    return f"{len(on)} of {len(front.points)} networks on the front, {sure} beyond doubt"


def _points_csv(data: Iterable[tuple[str, Record, str]]) -> str:
    """What a figure draws, a row a point; the page's link to all records has items and settings."""
    columns = ("model", "criterion", "asked", "width", "expansion_ratio", "quantity", "unit")
    more = ("standard_error", "floor", "n", "reason")
    rows: list[Sequence[Any]] = [("study", *columns, "value", "low", "high", *more, "verdict")]
    for name, record, word in data:
        score = estimate_of(record)
        ends = ("", "") if score is None else _ends(score)
        values = (getattr(record, column) for column in columns)
        rest = (getattr(record, column) for column in more)
        rows.append((name, *values, record.value, *ends, *rest, word))
    return csv_data_uri(rows)


def _ends(estimate: Estimate) -> tuple[float | str, float | str]:
    return ("", "") if estimate.standard_error is None else estimate.interval(CONFIDENCE)


def _only(result: ModelResults, quantity: str) -> Grid:
    """The grid of this score alone; empty if the series does not have it."""
    cells = {place: record for place, record in result.grid.cells.items() if place[1] == quantity}
    networks = tuple(n for n in result.grid.networks if (n, quantity) in cells)
    quantities = (quantity,) if networks else ()
    return Grid(model=result.model, networks=networks, quantities=quantities, cells=cells)


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", name.lower())
