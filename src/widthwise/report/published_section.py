"""The models of arXiv 2512.22671 beside those of a study, against the neurons that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import RunError
from ..figures import MUTED, OCHRE, PINK, SKY
from ..findings import Grid, GridRow, Table, build_grid, estimate_of
from ..findings.paper_2512_22671 import SOURCE, records
from ..stats import Estimate, grouped, number, unit_text
from ..study import Record
from .csv_links import csv_data_uri
from .figures import draw_line, reference_line, scale_by_log, set_titles
from .model_results import ModelResults
from .page import Block, Page, Section
from .panels import Panel, Tooltip, make_panel, value_text
from .styles import Style, style_in
from .svg import css_color, panel, to_viewbox

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RULE = "ppm"  # by which the paper's models were cut
_LOOKS = (  # of its models, in their order
    Style(color=OCHRE, marker="s", glyph="■", line="--"),
    Style(color=PINK, marker="v", glyph="▼", line="-."),
    Style(color=SKY, marker="X", glyph="✖", line=":"),
)
_SHIFT = 0.006  # of the share of neurons, between two models
_ABOUT = (
    f"The published scores of {SOURCE} and those of this study, cut by the same rule ({_RULE}), "
    "against the share of each layer's neurons that stay. They are of other models, prompts and "
    "numbers of items, so compare shapes and distances from the floor, not heights. Published "
    "shares have binomial intervals of the full test sets; published perplexities have none."
)


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One model's scores, by the share of its neurons that stay.

    Attributes:
        name: Of the model.
        style: How it looks.
        scores: A record a network, by task; the networks' ratios are shares of the dense width.
    """

    name: str
    style: Style
    scores: Mapping[str, Mapping[GridRow, Record]]


def with_published(page: Page, results: Sequence[ModelResults]) -> Page:
    """The page with a section that sets the paper's models beside those of its studies.

    Raises:
        RunError: No study has a task of the paper, cut by its rule.
    """
    own = [
        _curve(result.name, result.grid, style_in(place, _RULE))
        for place, result in enumerate(results)
    ]
    own = [curve for curve in own if curve.scores]
    theirs = [
        _curve(model, build_grid(of_model), style)
        for (model, of_model), style in zip(_published().items(), _LOOKS, strict=True)
    ]
    tasks = [task for task in theirs[0].scores if any(task in curve.scores for curve in own)]
    if not tasks:
        raise RunError(
            f"nothing here can be set beside {SOURCE}: it needs a model that was cut by {_RULE}, "
            "and asked one of the paper's tasks (--criterion ppm --suite paper)"
        )
    scores, *rest = page.sections
    section = _section([*own, *theirs], tasks)
    return replace(page, sections=(scores, section, *rest))


def _published() -> Mapping[str, Sequence[Record]]:
    return grouped((record.model, record) for record in records())


def _curve(name: str, grid: Grid, style: Style) -> _Curve:
    """Dense and the cuts by the paper's rule, where there are both."""
    dense, cuts = grid.dense, grid.cut_by(_RULE)
    scores: dict[str, dict[GridRow, Record]] = {}
    if dense is not None and cuts:
        for task in grid.quality:
            found = {
                replace(n, expansion_ratio=n.width / dense.width): grid.cells[n, task]
                for n in (dense, *cuts)
                if (n, task) in grid.cells and grid.cells[n, task].value is not None
            }
            if len(found) > 1:
                scores[task] = found
    return _Curve(name=name, style=style, scores=scores)


def _section(curves: Sequence[_Curve], tasks: Sequence[str]) -> Section:
    legend = [(c.style.glyph, css_color(c.style.color), c.name) for c in curves]
    panels = [_panel(task, [c for c in curves if task in c.scores]) for task in tasks]
    return Section(
        key="published",
        title="Beside the published curves",
        link="Published curves",
        about=_ABOUT,
        blocks=[
            Block(legend=legend, panels=panels, marks=True),
            Block(tables=[_table(curves, tasks)], is_folded=True),
        ],
    )


def _panel(task: str, curves: Sequence[_Curve]) -> Panel:
    figure, ax = panel()
    for place, curve in enumerate(curves):
        shift = (place - (len(curves) - 1) / 2) * _SHIFT
        points: dict[GridRow, Estimate | None] = {
            network: estimate_of(record) for network, record in curve.scores[task].items()
        }
        draw_line(ax, points, curve.style, curve.name, shift)
        _draw_dense(ax, points, curve)
    floor = _floor(curves, task)
    sample = next(iter(curves[-1].scores[task].values()))
    if floor is not None:
        reference_line(ax, floor, f"floor\n{number(floor, sample.unit)}", "floor")
    _style(ax, task, sample)
    if not sample.higher_is_better:
        found = [e for c in curves for r in c.scores[task].values() if (e := estimate_of(r))]
        scale_by_log(ax, found)
    rows = [
        (curve.name, f"{network.expansion_ratio:.3f}", record.value, record.standard_error)
        for curve in curves
        for network, record in curve.scores[task].items()
    ]
    return make_panel(
        figure,
        name=f"published-{task.replace('_', '-')}",
        title=f"{task}, beside published",
        caption=_caption(task, curves),
        tips=_tips(ax, task, curves),
        data=csv_data_uri([("model", "neurons_left", "value", "standard_error"), *rows]),
    )


def _draw_dense(ax: Axes, points: Mapping[GridRow, Estimate | None], curve: _Curve) -> None:
    """The marker of the dense network, which a line of cuts begins with and leaves bare."""
    dense = {n: score for n, score in points.items() if n.criterion is None}
    draw_line(ax, dense, curve.style, f"{curve.name}, dense", 0.0)


def _style(ax: Axes, task: str, sample: Record) -> None:
    ticks = [1.0, 0.8, 0.6, 0.4]
    ax.set_xlim(1.03, 0.37)
    ax.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
    ax.set_xlabel("neurons that stay", color=MUTED, size=9.5)
    better = "higher is better" if sample.higher_is_better else "lower is better, log scale"
    set_titles(ax, task, f"{unit_text(sample.unit)}, {better}")


def _floor(curves: Sequence[_Curve], task: str) -> float | None:
    """What a trivial answerer gets on the full test set, as the published table has it."""
    return next(iter(curves[-1].scores[task].values())).floor


def _caption(task: str, curves: Sequence[_Curve]) -> str:
    counts = [f"{c.name} {next(iter(c.scores[task].values())).n:,}" for c in curves]
    return f"items: {', '.join(counts)}"


def _tips(ax: Axes, task: str, curves: Sequence[_Curve]) -> list[Tooltip]:
    height = ax.get_ylim()[0]
    by_place = grouped(
        (
            round(network.expansion_ratio, 2),
            (curve.style.glyph, css_color(curve.style.color), curve.name, value_text(record)),
        )
        for curve in curves
        for network, record in curve.scores[task].items()
    )
    return [
        Tooltip(
            x=to_viewbox(ax, share, height)[0],
            y=None,
            head=f"{task}, {100 * share:.0f} % of neurons",
            rows=tuple(rows),
        )
        for share, rows in sorted(by_place.items(), reverse=True)
    ]


def _table(curves: Sequence[_Curve], tasks: Sequence[str]) -> Table:
    """Dense, and the narrowest width that every model was cut to."""
    shares = [{round(n.expansion_ratio, 2) for s in c.scores.values() for n in s} for c in curves]
    common = min(set.intersection(*shares))

    def cell(curve: _Curve, task: str) -> str:
        by_share = {round(n.expansion_ratio, 2): r for n, r in curve.scores.get(task, {}).items()}
        ends = [by_share.get(share) for share in (1.0, common)]
        return " to ".join(value_text(record) for record in ends if record is not None) or "-"

    return Table(
        title="Dense and cut, beside published",
        about=f"Each score of the dense model, and with {100 * common:.0f} % of its neurons.",
        header=("task", "floor", *(curve.name for curve in curves)),
        rows=tuple(
            (task, _floor_text(curves, task), *(cell(curve, task) for curve in curves))
            for task in tasks
        ),
    )


def _floor_text(curves: Sequence[_Curve], task: str) -> str:
    having = [curve for curve in curves if task in curve.scores]
    floor = _floor(having, task)
    sample = next(iter(having[-1].scores[task].values()))
    return "-" if floor is None else number(floor, sample.unit)
