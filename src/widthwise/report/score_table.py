"""The table of scores: a block a task, a row a network, as text for a terminal and a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..findings import (
    Comparison,
    Comparisons,
    Grid,
    GridRow,
    Table,
    build_grid,
    compare_to_control,
    compare_to_dense,
    estimate_of,
    floor_status,
    shown_word,
)
from ..stats import counted, difference_text, number, p_text, percent, unit_text, with_error
from ..study import CONTROL, Record
from .network_table import floor_text, reasons_of
from .provenance import format_n_range

BESIDE_CONTROL = f"minus {CONTROL} [95 %], p"
CHANCE_CORRECTED = "chance-corrected"
P_VALUE = "p (Holm)"
COLUMNS = (
    "network",
    "score ± s.e.",
    "minus dense [95 %]",
    P_VALUE,
    "verdict",
    BESIDE_CONTROL,
    CHANCE_CORRECTED,
    "capped",
    "loops",
    "n",
)


@dataclass(frozen=True, kw_only=True)
class TaskScores:
    """All networks on one task.

    Attributes:
        task: Its name.
        about: Metric, solved examples in the prompt, items, and what is unusual about them.
        floor: The floor and which trivial answerer it is, or why there is none.
        rows: A network a row, with the columns `COLUMNS`: dense first, then each criterion from
            wide to narrow, the control last. A cell that does not apply is empty, and so is `n`
            where it is that of the whole task.
        anytime: Whether the intervals are valid wherever the measurement was stopped.
        source: Which items of how many, and how many of those were asked where that is not all; ""
            if the records do not say.
        floors: Every trivial answerer that was tried, with its score.
        metrics: The harness's metrics of each network, where it has more than one.
    """

    task: str
    about: str
    floor: str
    rows: tuple[tuple[str, ...], ...]
    anytime: bool
    source: str
    floors: tuple[tuple[str, str], ...]
    metrics: Table | None


def score_tables(records: Sequence[Record]) -> tuple[TaskScores, ...]:
    """The scores of every task, in the order in which records first name them.

    A score reads `0.412 ± 0.049`, its standard error behind it, or `0 [0, 0.602]` where all items
    are alike; the difference from dense, over the items that both answered,
    `-0.100 [-0.171, -0.029]`; p is adjusted by Holm's method over all networks of the task. A
    missing value reads `missing [1]`, and `missing_notes` says why.

    Raises:
        RunError: As `build_grid`: no records, or records that do not belong together.
    """
    grid = build_grid(records)
    return scores_of(grid, compare_to_dense(grid))


def scores_of(grid: Grid, judged: Comparisons, apart: Grid | None = None) -> tuple[TaskScores, ...]:
    """The tables of records that are arranged and judged already.

    Args:
        grid: What is shown.
        judged: It beside dense.
        apart: The same with each draw of the control by itself, where the grid has their mean.
    """
    controlled = {
        at: comparison
        for criterion in grid.criteria
        if criterion != CONTROL
        for at, comparison in compare_to_control(apart or grid, criterion, CONTROL).items()
    }
    return tuple(_scores(grid, judged, controlled, quantity) for quantity in grid.quality)


def nonempty_columns(tables: Sequence[TaskScores]) -> list[int]:
    """Indices of the `COLUMNS` in which any of the tables says something."""
    rows = [row for table in tables for row in table.rows]
    return [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]


def _scores(grid: Grid, judged: Comparisons, controlled: Comparisons, quantity: str) -> TaskScores:
    sample = grid.sample(quantity)
    places = [(n, grid.cells[n, quantity]) for n in grid.networks if (n, quantity) in grid.cells]
    anytime = any(judged[n, quantity].anytime for n, _ in places if (n, quantity) in judged)
    reasons = reasons_of(grid)
    one_n = len({record.n for _, record in places if record.value is not None}) < 2
    rows = []
    for network, record in places:
        if record.reason is not None:
            missing = f"missing [{reasons[record.reason]}]"
            rows.append((network.named, missing, *[""] * (len(COLUMNS) - 2)))
            continue
        place = network, quantity
        row = _row(network, record, judged.get(place), controlled.get(place))
        rows.append((*row, "" if one_n else f"{record.n:,}"))
    floors: dict[str, float] = dict(sample.settings.get("floors") or {})
    return TaskScores(
        task=quantity,
        about=", ".join(_about(sample, format_n_range(grid.column(quantity)), anytime)),
        floor=floor_text(sample),
        rows=tuple(rows),
        anytime=anytime,
        source=_source(grid.column(quantity)),
        floors=tuple((kind, number(value, sample.unit)) for kind, value in floors.items()),
        metrics=_metrics(quantity, places, tuple(sample.settings.get("metrics") or {})),
    )


def _row(
    network: GridRow, record: Record, judged: Comparison | None, controlled: Comparison | None
) -> tuple[str, ...]:
    """A network's cells but for the last, n."""
    score = estimate_of(record)
    assert score is not None  # records without a value have a row of their own kind
    difference, p_value, word = "", "", ""
    if judged is not None:
        word, difference = shown_word(judged, record), "not paired"
        if judged.difference is not None and judged.p_value is not None:
            difference = difference_text(judged.difference, record.unit)
            p_value = p_text(judged.p_value)
    elif network.criterion is None:
        word = "no floor" if record.floor is None else floor_status(record)
    corrected = record.settings.get("chance_corrected")
    return (
        network.named,
        with_error(score, record.unit),
        difference,
        p_value,
        word,
        _beside_text(controlled, record.unit),
        "" if corrected is None else number(corrected, record.unit),
        *(
            "" if (share := record.settings.get(name)) is None else percent(share, 0)
            for name in ("capped", "loops")
        ),
    )


def _beside_text(controlled: Comparison | None, unit: str) -> str:
    """The difference from the control, and its p: the interval alone does not carry a word."""
    if controlled is None or controlled.difference is None or controlled.p_value is None:
        return ""
    return f"{difference_text(controlled.difference, unit)}, {p_text(controlled.p_value)}"


def metric_name(metric: str) -> str:
    """lm-eval's name of a metric and, where it has one of its own, of its filter.

    Example:
        >>> metric_name("acc_norm,none"), metric_name("exact_match,flexible-extract")
        ('acc_norm', 'exact_match (flexible-extract)')
    """
    name, _, kind = metric.partition(",")
    return name if kind in ("", "none") else f"{name} ({kind})"


def _about(sample: Record, n: str, anytime: bool) -> list[str]:
    metric = sample.settings.get("metric")
    words = [metric_name(metric) if metric else unit_text(sample.unit)]
    shots = sample.settings.get("shots")
    if shots is not None:
        words.append(counted(shots, "shot"))
    words.append(f"n = {n}")
    if sample.higher_is_better is False:
        words.append("lower is better")
    if anytime:
        until = number(sample.settings["until"], sample.unit)
        words.append(f"until known to ±{until}: anytime-valid intervals")
    return words


def _source(column: Sequence[Record]) -> str:
    """Which items were drawn; where a task was ended, or is not through, how many were asked."""
    told = str(column[0].settings.get("source") or "")
    drawn = re.match(r"([0-9,]+) of ", told)
    asked = min((record.n for record in column if record.value is not None), default=0)
    if drawn is None or not 0 < asked < int(drawn[1].replace(",", "")):
        return told
    return f"{told}; of the {drawn[1]}, {format_n_range(column)} were asked"


def _metrics(
    task: str, places: Sequence[tuple[GridRow, Record]], metrics: Sequence[str]
) -> Table | None:
    """The table of the metrics; None where there is one or none."""
    if len(metrics) < 2:
        return None
    title = f"Metrics of {task}"
    rows = []
    for network, record in places:
        values = record.settings.get("metrics")
        if values:
            scores = (values.get(metric) for metric in metrics)
            rows.append((network.named, *("" if v is None else number(v, "") for v in scores)))
    header = ("network", *map(metric_name, metrics))
    return Table(title=title, about=title, header=header, rows=tuple(rows))
