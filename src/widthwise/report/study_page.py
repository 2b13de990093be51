"""All that the page shows, from the series it is drawn from; the template only lays it out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import __version__
from ..errors import RunError
from ..findings import Findings, Grid, beats_its_floor, build_findings, floor_status, network_of
from ..stats import counted, is_perplexity
from ..study import CONTROL, Record
from .answers import answers_of, other_grids, runs_of, unbroken
from .cost_table import COST_COLUMNS, COST_KEY, cost_tables
from .headline import cost_sentence, load_warnings, measured_sentences
from .html_table import HtmlTable, beside_table, network_table, score_table, text_table
from .model_results import ModelResults
from .network_table import missing_notes
from .panels import Panel, cost_panels, front_panels, quality_panels, size_panels, slug
from .provenance import measured_rows, setting_rows
from .score_table import CHANCE_CORRECTED, COLUMNS, nonempty_columns
from .study_comparison import compare
from .styles import style_in, style_of, workload_styles
from .svg import css_color

Context = dict[str, Any]
Legend = Sequence[tuple[str, str, str]]  # glyph, colour and name
_EMPTY = ("", "-")
Named = tuple[str, str, HtmlTable, tuple[str, ...]]  # title, about, table and notes
_AT_FLOOR = (
    "The dense model is not shown to beat a trivial answerer with these items, so they cannot show "
    "what a cut costs."
)
_TOO_FEW = (
    "On these items the interval of the dense model reaches from its floor to well above it: ask "
    "more of them before you say what a cut costs."
)


@dataclass(frozen=True, kw_only=True)
class FigureSection:
    """Figures under one heading, and the tables below them."""

    heading: str
    about: str
    panels: list[Panel]
    legend: Legend = ()
    tables: Sequence[Named] = ()

    @property
    def is_large(self) -> bool:
        """Whether three panels in a row take no more rows than four would, and no heading says
        that they matter less."""
        return not self.heading and -(-len(self.panels) // 3) <= -(-len(self.panels) // 4)


def build_page(series: Sequence[ModelResults], title: str) -> Context:
    """What the template `page.html` fills in."""
    several = len(series) > 1
    found, unpaired = compare(series)
    findings = [(one, *_findings_of(one, series)) for one in series]
    left_out = [(one, note) for one in series for note in one.notes]
    notes = [f"{one.name}: {note}" if several else note for one, _, note in findings if note]
    lead, each = answers_of(series, found)
    return {
        "title": title,
        "series": series,
        "several": several,
        "byline": _byline(series),
        "answer": lead,
        "answers": each,
        "left_out": [f"{one.name}: {note}" if several else note for one, note in left_out],
        "legend": legend_of(series),
        "quality": _quality_groups(series),
        "costs": _cost_groups(series),
        "cost_key": unbroken(COST_KEY),
        "speeds": any(one.grid is not None and one.grid.speeds for one in series),
        "findings": [(one.name, f, _text_tables(one, f)) for one, f, _ in findings if f],
        "fronts": [
            (one.name, front_panels(f.fronts, one.name)) for one, f, _ in findings if f and f.fronts
        ],
        "between": beside_table(found),
        "unpaired": [*unpaired, *notes],
        "scores": score_table(series),
        "networks": network_table(series),
        "missing": _missing(series),
        "reading": _reading(series),
        "measured": _measured(series),
        "provenance": [_provenance(one) for one in series],
        "version": __version__,
    }


def _findings_of(one: ModelResults, series: Sequence[ModelResults]) -> tuple[Findings | None, str]:
    """Findings of what agrees, and what is to be said of them.

    Costs may come from the one other study that measured nothing but costs of this model.
    """
    if one.grid is None or not one.grid.quality:
        return None, ""
    priced = [s for s in series if s.grid is None and s.model == one.model and s.costs]
    lent = _lent(priced[0].costs, one.grid) if len(priced) == 1 and not one.costs else []
    try:
        (found,) = build_findings((*one.agreed, *lent), others=other_grids(one, series))
    except RunError as error:
        return None, f"No findings are drawn: {error}."
    return found, f"Costs of the same widths are those of {priced[0].name}." if lent else ""


def _lent(costs: Sequence[Record], grid: Grid) -> list[Record]:
    """The costs at the widths of the grid: they are the same whichever neurons were kept."""
    by_width: dict[int, list[Record]] = {}
    for record in costs:
        by_width.setdefault(record.width, []).append(record)
    return [
        replace(record, criterion=n.criterion, asked=n.asked, cell=f"{n.label} {record.cell}")
        for n in grid.networks
        for record in by_width.get(n.width, [])
        if (record.criterion is None) == (n.criterion is None)
    ]


def _byline(series: Sequence[ModelResults]) -> str:
    models = list(dict.fromkeys(one.model for one in series))
    networks = sum(len({network_of(record) for record in one.records}) for one in series)
    said = [", ".join(models), counted(networks, "network")]
    return " · ".join(said)


def legend_of(series: Sequence[ModelResults]) -> list[tuple[str, str, str]]:
    """Glyph, colour and name of all that the figures of scores show."""
    rated = [(one, one.grid) for one in series if one.grid is not None and one.grid.quality]
    entries: dict[tuple[str, str, str], None] = {}
    for index, (one, grid) in enumerate(rated):
        names = [*([None] if grid.dense else []), *grid.criteria]
        whole = grid.dense.whole if grid.dense else ""
        for criterion in names:
            style = style_of(criterion)
            color, told = css_color(style.color), criterion or whole
            if len(rated) > 1:
                color, told = style_in(index, criterion).color, f"{one.name}, {told}"
            told += " control" if criterion == CONTROL else ""
            entries[style.glyph, color, told] = None
    return list(entries)


def _quality_groups(series: Sequence[ModelResults]) -> list[FigureSection]:
    """Scores that dense knows something of, then those at which no loss can be shown."""
    known, rest = order_by_floor(series)
    drawn = {panel.title: panel for panel in quality_panels(series, [*known, *rest])}
    few = [q for q in rest if any(_has_too_few(one.grid, q) for one in series)]
    bare = [q for q in rest if q not in few]
    groups = [
        ("", "", known),
        ("Too few items to tell", _TOO_FEW, few),
        ("At the floor before anything is cut", _AT_FLOOR, bare),
    ]
    if not known:
        groups = [("", "", rest)]
    return [
        FigureSection(heading=heading, about=about, panels=[drawn[q] for q in names])
        for heading, about, names in groups
        if names
    ]


def order_by_floor(series: Sequence[ModelResults]) -> tuple[list[str], list[str]]:
    """Scores at which a loss can be shown, of any of the series, and the others."""
    grids = [one.grid for one in series if one.grid is not None]
    quantities = list(dict.fromkeys(q for grid in grids for q in grid.quality))
    known = [q for q in quantities if any(_can_lose(grid, q) for grid in grids)]
    return known, [q for q in quantities if q not in known]


def _can_lose(grid: Grid, quantity: str) -> bool:
    """Whether dense beats its floor, or has none."""
    dense = grid.cells.get((grid.dense, quantity)) if grid.dense else None
    if dense is None or dense.value is None:
        return grid.dense is None
    return dense.floor is None or beats_its_floor(dense)


def _has_too_few(grid: Grid | None, quantity: str) -> bool:
    """Whether the interval of dense reaches from its floor to well above it."""
    dense = grid.cells.get((grid.dense, quantity)) if grid and grid.dense else None
    return dense is not None and dense.value is not None and floor_status(dense) == "too few items"


def _cost_groups(series: Sequence[ModelResults]) -> list[FigureSection]:
    runs = runs_of(series)
    groups = [
        FigureSection(
            heading="Side by side", about="", panels=[], tables=_cost_tables("together", run)
        )
        for run in runs
    ]
    for one in series:
        panels = [*size_panels(one, other_grids(one, series)), *cost_panels(one)]
        if panels or (one.costs and not runs):
            said = cost_sentence(one.grid) if one.grid else ""
            more = measured_sentences(one.costs)
            if one.costs and one.grid and one.grid.quality:
                said = " ".join([said, *more]).strip()
            elif said:
                said = " ".join([said, *load_warnings(one.records)])
            groups.append(
                FigureSection(
                    heading=one.name if len(series) > 1 else "",
                    about=unbroken(said),
                    panels=panels,
                    legend=_cost_legend(one),
                    tables=_cost_tables(one.name, one.costs),
                )
            )
    return groups


def _cost_legend(one: ModelResults) -> Legend:
    """The workloads that `widthwise measure` measured."""
    styles = workload_styles(list(dict.fromkeys(r.settings["workload"] for r in one.costs)))
    return [(style.glyph, style.color, name) for name, style in styles.items()]


def _cost_tables(name: str, costs: Sequence[Record]) -> list[Named]:
    """A table a workload, of the columns that say something."""
    tables = []
    for table in cost_tables(costs):
        used = [
            i for i, _ in enumerate(COST_COLUMNS) if any(r[i] not in _EMPTY for r in table.rows)
        ]
        made = text_table(
            f"cost-{slug(name)}-{slug(table.workload)}",
            f"Costs of {table.workload}",
            [COST_COLUMNS[i] for i in used],
            [[row[i] for i in used] for row in table.rows],
        )
        tables.append((table.workload, table.about, made, table.notes))
    return tables


def _text_tables(
    one: ModelResults, findings: Findings
) -> list[tuple[str, HtmlTable, tuple[str, ...]]]:
    return [
        (
            table.title,
            text_table(
                f"finding-{slug(one.name)}-{i}-{slug(table.title)}",
                table.about,
                table.header,
                table.rows,
            ),
            table.notes,
        )
        for i, table in enumerate(findings.tables)
    ]


def _missing(series: Sequence[ModelResults]) -> list[str]:
    several = len(series) > 1
    return [
        f"{one.name}: {note}" if several else note
        for one in series
        if one.grid is not None
        for note in missing_notes(list(one.grid.cells.values()))
    ]


def _reading(series: Sequence[ModelResults]) -> dict[str, bool]:
    """Which paragraphs on how to read the page apply."""
    tables = [table for one in series for table in one.scores]
    shown = {COLUMNS[i] for i in nonempty_columns(tables)}
    return {
        "scored": bool(tables),
        "corrected": CHANCE_CORRECTED in shown,
        "written": "capped" in shown,
        "perplexity": any(is_perplexity(r.unit) for one in series for r in one.records),
        "anytime": any(table.anytime for table in tables),
        "shared": any(one.grid is not None and one.grid.shares_costs for one in series),
        "control": any(one.grid is not None and CONTROL in one.grid.criteria for one in series),
    }


def _measured(series: Sequence[ModelResults]) -> list[dict[str, Any]]:
    """How each quantity was measured, and what stands behind each score."""
    found = []
    for one in series:
        if one.grid is None:
            continue
        rows = measured_rows(one.grid)
        header = ("quantity", "unit", "n", "floor", "time, all networks")
        name = f"measured-{slug(one.name)}"
        found.append(
            {
                "name": one.name if len(series) > 1 else "",
                "table": text_table(name, "How each quantity was measured", header, rows),
                "tasks": one.scores,
            }
        )
    return found


def _provenance(one: ModelResults) -> dict[str, Any]:
    """Where the numbers come from: the records by their digest, and what they were made with."""
    lines = "".join(record.to_json() + "\n" for record in one.records)
    rows = [
        (
            "records",
            f"{len(one.records):,}, sha256 {hashlib.sha256(lines.encode()).hexdigest()[:16]}",
        )
    ]
    if one.source is not None:
        rows.append(("read from", one.source.name or str(one.source)))
    times = sorted(str(r.settings["time"]) for r in one.records if r.settings.get("time"))
    if times:
        ends = [time[:16].replace("T", " ") for time in (times[0], times[-1])]
        rows.append(("measured, UTC", " to ".join(dict.fromkeys(ends))))
    spent = sum(record.duration_sec for record in one.records)
    rows.append(("time of all cells", f"{spent / 60:,.1f} min"))
    rows += [row for row in setting_rows(one.records, one.settings) if row[0] != "time"]
    return {"name": one.name, "rows": rows}
