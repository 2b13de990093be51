"""The page of studies: what it shows of their records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..findings import (
    Findings,
    Grid,
    beats_its_floor,
    build_findings,
    build_grid,
    compared_text,
    floor_status,
    network_of,
)
from ..stats import counted, grouped
from ..study import CONTROL, Continuation, Record, StoredStudy, calibration_notes
from .answers import answers_of, decision_of, other_grids
from .cost_section import cost_section
from .csv_links import data_link
from .distance_table import distance_table
from .lead_figure import lead_block, meanings_of
from .lead_table import first_table
from .method import method_sentences
from .model_results import ModelResults, model_results, results_of
from .network_table import missing_notes
from .page import Block, Detail, Legend, Page, Section, provenance_section
from .panels import front_panels, quality_panels
from .provenance import measured_table, setting_rows
from .published_section import with_published
from .score_table import TaskScores
from .study_comparison import ScoreComparison, compare
from .study_tables import comparison_table, network_table, score_table
from .styles import style_in, style_of
from .svg import css_color
from .texts_section import texts_section

_UNFINISHED = (
    "More items are being asked: this page draws itself anew while they come, and intervals get "
    "narrower."
)
_AT_FLOOR = (
    "The dense model is not shown to beat a trivial answerer with these items, so they cannot show "
    "what a cut costs."
)
_TOO_FEW = (
    "On these items the interval of the dense model reaches from its floor to well above it: ask "
    "more of them before you say what a cut costs."
)
_SCORES = (
    "Each score against the expansion ratio, dense on the left and narrower to the right. A "
    "criterion that is no better than the random control has chosen nothing; a score at its floor "
    "says nothing about width."
)
_FRONTS = (
    "A network is on the front when no other one is at least as good and at least as cheap. A "
    "ring: intervals leave that open; faint: off the front. The tables of findings have every cost."
)
_BETWEEN = (
    "Only where the same items were asked in the same way: the study minus the other one, item by "
    "item: a checkpoint minus what it was cut or healed from, else the later study minus the "
    "earlier one."
)
_EVERY_SCORE = (
    "The score with its standard error (with its interval where all items went one way), the "
    "difference from dense on the items that both answered with its 95 % interval, the p-value "
    "that belongs to it, and what may be said."
)
_RATIOS = " Under a speed stands its ratio to dense with the 95 % interval."


def write_page(
    records: Sequence[Record],
    path: Path,
    *,
    title: str,
    settings: Mapping[str, Any],
    renewed_until: float | None = None,
    texts: Sequence[Continuation] = (),
) -> None:
    """Write the report of one model's records; an existing file is replaced in one step.

    Args:
        records: Of one study; missing values are shown with their reasons.
        path: The HTML file; its folder must exist.
        title: Heading of the page.
        settings: What the reader should know about the run beside what the records say.
        renewed_until: As of `Page`; the page says then that more is to come.
        texts: What networks wrote after prompts.

    Raises:
        RunError: No records, or records that do not belong together (see `build_grid`).
        OutputError: The file cannot be written.
    """
    grid = build_grid(records)
    page = study_page([model_results(records, grid.model, settings, texts=texts)], title)
    if renewed_until is not None:
        page = replace(page, renewed_until=renewed_until, warnings=[_UNFINISHED, *page.warnings])
    page.write(path)


def write_report(studies: Sequence[StoredStudy], path: Path, *, published: bool = False) -> None:
    """Write the report of stored studies, side by side if there are several.

    Records that contradict each other are left out, and the page says so.

    Args:
        studies: As `read_study` reads them; their records may be of several models.
        path: The HTML file; its folder must exist.
        published: Whether the models of arXiv 2512.22671 are set beside them.

    Raises:
        OutputError: The file cannot be written.
        RunError: Published scores are asked for, and there is nothing to set them beside.
    """
    results = results_of(studies)
    page = study_page(results, _title(studies))
    (with_published(page, results) if published else page).write(path)


def study_page(results: Sequence[ModelResults], title: str) -> Page:
    """All that the page shows of one or several studies."""
    compared, unpaired = compare(results)
    findings = [(result, *_findings_of(result, results)) for result in results]
    answer, answers = answers_of(results, compared)
    answer = [*decision_of(results, [summary for _, summary, _ in findings]), *answer]
    shown = {text for _, texts in (("", answer), *answers) for text in texts}
    drawn = [
        (result, replace(summary, sentences=tuple(s for s in summary.sentences if s not in shown)))
        for result, summary, _ in findings
        if summary is not None
    ]
    records = [record for result in results for record in result.records]
    return Page(
        title=title,
        byline=_byline(results),
        answer=answer,
        lead=lead_block(results),
        first_table=first_table(results),
        warnings=[result.headed(note) for result in results for note in _warnings(result)],
        remarks=[*unpaired, *(result.headed(note) for result, _, note in findings if note)],
        answers=answers,
        sections=_sections(results, compared, drawn),
        records=(data_link(records), counted(len(records), "record")),
    )


def _warnings(result: ModelResults) -> list[str]:
    """What is left out, and refits that went wrong."""
    told = calibration_notes(result.records)
    mark = "Warning: "
    return [*result.notes, *(note.removeprefix(mark) for note in told if note.startswith(mark))]


def _sections(
    results: Sequence[ModelResults],
    compared: Sequence[ScoreComparison],
    findings: Sequence[tuple[ModelResults, Findings]],
) -> tuple[Section, ...]:
    return (
        Section(
            key="scores",
            title="What it still knows",
            link="Scores",
            about=_SCORES,
            blocks=_quality_blocks(results),
        ),
        texts_section(results),
        *_findings_sections(findings, results),
        Section(
            key="numbers",
            title="Every number",
            link="Every number",
            blocks=_number_blocks(results, compared),
        ),
        Section(
            key="method",
            title="How this was measured",
            link="Method",
            is_folded=True,
            blocks=[Block(sentences=method_sentences(results)), *_measured(results)],
        ),
        provenance_section([(result.heading, _provenance(result)) for result in results]),
    )


def _title(studies: Sequence[StoredStudy]) -> str:
    models = list(dict.fromkeys(record.model for study in studies for record in study.records))
    names = [Path(model).name for model in models]
    if len(studies) > 1 and len(names) == 1:
        return f"{names[0]}: {' and '.join(study.name for study in studies)}"
    return f"How wide should {' and '.join(names)} be?"


def _byline(results: Sequence[ModelResults]) -> str:
    models = list(dict.fromkeys(result.model for result in results))
    networks = sum(len({network_of(record) for record in result.records}) for result in results)
    return f"{', '.join(models)} · {counted(networks, 'network')}"


def _findings_of(
    result: ModelResults, results: Sequence[ModelResults]
) -> tuple[Findings | None, str]:
    """Findings of what agrees, and what is to be said of them.

    Costs may come from the one other study that measured nothing but costs of this model.
    """
    if not result.grid.quality:
        return None, ""
    priced = [s for s in results if not s.grid.networks and s.model == result.model and s.costs]
    is_shared = len(priced) == 1 and not result.costs
    shared = shared_costs(priced[0].costs, result.grid) if is_shared else []
    try:
        (findings,) = build_findings((*result.agreed, *shared), others=other_grids(result, results))
    except RunError as error:
        return None, f"No findings are drawn: {error}."
    return findings, f"Costs of the same widths are those of {priced[0].name}." if shared else ""


def shared_costs(costs: Sequence[Record], grid: Grid) -> list[Record]:
    """The costs at the widths of the grid: they are the same whichever neurons were kept."""
    by_width = grouped((record.width, record) for record in costs)
    return [
        replace(record, criterion=n.criterion, asked=n.asked, cell=f"{n.label} {record.cell}")
        for n in grid.networks
        for record in by_width.get(n.width, [])
        if (record.criterion is None) == (n.criterion is None)
    ]


def legend_of(results: Sequence[ModelResults]) -> Legend:
    """Glyph, colour and name of all that the figures of scores show."""
    rated = [result for result in results if result.grid.quality]
    entries: dict[tuple[str, str, str], None] = {}
    for index, result in enumerate(rated):
        dense = result.grid.dense
        for criterion in (*([None] if dense else []), *result.grid.criteria):
            style = style_of(criterion)
            color, label = css_color(style.color), criterion or (dense.whole if dense else "")
            if len(rated) > 1:
                color, label = style_in(index, criterion).color, f"{result.name}, {label}"
            label += " control" if criterion == CONTROL else ""
            entries[style.glyph, color, label] = None
    return list(entries)


def _quality_blocks(results: Sequence[ModelResults]) -> list[Block]:
    """Scores that dense knows something of, then those at which no loss can be shown."""
    known, rest = order_by_floor(results)
    panels = {panel.title: panel for panel in quality_panels(results, [*known, *rest])}
    wholes = {q: [result.grid.of_dense(q) for result in results] for q in rest}
    few = [
        q
        for q, records in wholes.items()
        if any(r and r.value is not None and floor_status(r) == "too few items" for r in records)
    ]
    groups = [
        ("", "", known),
        ("Too few items to tell", _TOO_FEW, few),
        ("At the floor before anything is cut", _AT_FLOOR, [q for q in rest if q not in few]),
    ]
    if not known:
        groups = [("", "", rest)]
    blocks = [
        Block(
            heading=heading,
            about=about,
            panels=[panels[q] for q in names],
            is_large=not heading and -(-len(names) // 3) <= -(-len(names) // 4),
        )
        for heading, about, names in groups
        if names
    ]
    rated = [result.grid for result in results if result.grid.quality]
    is_told = len(rated) == 1 and compared_text(rated[0]) is not None  # by the first figure
    told = [] if is_told else [text for grid in rated for text in meanings_of(grid)]
    key = Block(legend=legend_of(results), marks=True, notes=list(dict.fromkeys(told)))
    return [key, *blocks] if blocks else []


def order_by_floor(results: Sequence[ModelResults]) -> tuple[list[str], list[str]]:
    """Scores at which a loss can be shown, of any of the results, and the others."""
    grids = [result.grid for result in results if result.grid.networks]
    quantities = list(dict.fromkeys(q for grid in grids for q in grid.quality))
    known = [q for q in quantities if any(_can_lose(grid, q) for grid in grids)]
    return known, [q for q in quantities if q not in known]


def _can_lose(grid: Grid, quantity: str) -> bool:
    """Whether dense beats its floor, or has none."""
    dense = grid.of_dense(quantity)
    if dense is None or dense.value is None:
        return grid.dense is None
    return dense.floor is None or beats_its_floor(dense)


def _findings_sections(
    findings: Sequence[tuple[ModelResults, Findings]], results: Sequence[ModelResults]
) -> tuple[Section, ...]:
    """Quality against cost, costs, and all that findings say."""
    return (
        Section(
            key="price",
            title="Quality against cost",
            link="Quality against cost",
            about=_FRONTS,
            blocks=[
                Block(heading=result.heading, choices=front_panels(summary.fronts, result.name))
                for result, summary in findings
                if summary.fronts
            ],
        ),
        cost_section(results),
        Section(
            key="findings",
            title="Findings",
            link="Findings",
            blocks=[
                Block(
                    heading=result.heading,
                    sentences=summary.sentences,
                    tables=summary.tables,
                    is_folded=True,
                )
                for result, summary in findings
            ],
        ),
    )


def _number_blocks(
    results: Sequence[ModelResults], compared: Sequence[ScoreComparison]
) -> list[Block]:
    has_speeds = any(result.grid.speeds for result in results)
    networks = f"What was asked for and what was got.{_RATIOS * has_speeds}"
    distances = distance_table([(result.name, result.draws) for result in results])
    tables = (
        ("Between the studies", _BETWEEN, comparison_table(compared)),
        ("Scores", _EVERY_SCORE, score_table(results)),
        ("Distance from dense", distances.about if distances else "", distances),
        ("Networks", networks, network_table(results)),
    )
    blocks = [
        Block(heading=heading, about=about, tables=[table], is_filtered=True)
        for heading, about, table in tables
        if table is not None
    ]
    missing = [
        result.headed(note)
        for result in results
        if result.grid.networks
        for note in missing_notes(list(result.grid.cells.values()))
    ]
    return [*blocks, *([Block(notes=missing)] if missing else [])]


def _measured(results: Sequence[ModelResults]) -> list[Block]:
    """How each quantity was measured, and what stands behind each score."""
    return [
        Block(
            heading=result.heading,
            tables=[measured_table(result.name, result.grid)],
            is_filtered=True,
            details=[_detail(task) for task in result.scores],
        )
        for result in results
        if result.grid.networks
    ]


def _detail(task: TaskScores) -> Detail:
    floors = "; ".join(f"{kind}: {value}" for kind, value in task.floors)
    sentences = [f"{task.floor[0].upper()}{task.floor[1:]}."]
    sentences += [f"Sample: {task.source}."] if task.source else []
    sentences += [f"Trivial answerers: {floors}."] if floors else []
    summary = f"{task.task}: {task.about}"
    return Detail(summary=summary, sentences=tuple(sentences), table=task.metrics)


def _provenance(result: ModelResults) -> list[tuple[str, str]]:
    """Where the numbers come from: the records by their digest, and what they were made with."""
    lines = "".join(record.to_json() + "\n" for record in result.records)
    digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
    rows = [("records", f"{len(result.records):,}, sha256 {digest}")]
    if result.source is not None:
        rows.append(("read from", result.source.name or str(result.source)))
    times = sorted(str(r.settings["time"]) for r in result.records if r.settings.get("time"))
    if times:
        ends = [time[:16].replace("T", " ") for time in (times[0], times[-1])]
        rows.append(("measured, UTC", " to ".join(dict.fromkeys(ends))))
    spent = sum(record.duration_sec for record in result.records)
    rows.append(("time of all cells", f"{spent / 60:,.1f} min"))
    rows += [row for row in setting_rows(result.records, result.settings) if row[0] != "time"]
    return rows
