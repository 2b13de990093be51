"""The tables of every number on the page of studies: scores, differences between studies, costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..findings import Grid, Table
from ..stats import difference_text, number, p_text
from .html_table import MARKS
from .model_results import ModelResults
from .network_table import rows_of
from .score_table import COLUMNS, TaskScores, nonempty_columns
from .study_comparison import ScoreComparison


def score_table(results: Sequence[ModelResults]) -> Table | None:
    """Every score: a row a task, a study and a network; None if there is none."""
    blocks = [(result, table) for result in results for table in result.scores]
    if not blocks:
        return None
    order = list(dict.fromkeys(table.task for _, table in blocks))
    blocks.sort(key=lambda block: order.index(block[1].task))
    shown = nonempty_columns([table for _, table in blocks])[1:]
    columns = tuple(COLUMNS[i] for i in shown)
    study = ("study",) if len(results) > 1 else ()
    return Table(
        title="Scores",
        about="Every score",
        header=("task", *study, "criterion", "I/H", columns[0], "floor", *columns[1:]),
        rows=tuple(
            (table.task, *((result.name,) if study else ()), *row)
            for result, table in blocks
            for row in _score_rows(result.grid, table, shown)
        ),
    )


def _score_rows(grid: Grid, table: TaskScores, shown: Sequence[int]) -> Iterator[tuple[str, ...]]:
    places = [n for n in grid.networks if (n, table.task) in grid.cells]
    for network, texts in zip(places, table.rows, strict=True):
        record = grid.cells[network, table.task]
        floor = "" if record.floor is None else number(record.floor, record.unit)
        score, *others = (MARKS.get(texts[i], "") + texts[i] for i in shown)
        yield network.shown, network.ratio, score, floor, *others


def comparison_table(comparisons: Sequence[ScoreComparison]) -> Table | None:
    """Every difference between studies on the same items; None if there is none."""
    if not comparisons:
        return None
    names = {(comparison.second, comparison.first) for comparison in comparisons}
    minus = " minus ".join(*names) if len(names) == 1 else "study minus the other"
    return Table.of(
        comparisons,
        {
            "task": lambda beside: beside.quantity,
            "study": lambda beside: beside.second,
            "minus study": lambda beside: beside.first,
            "network": lambda beside: beside.place,
            "score": lambda beside: number(beside.own.value or 0.0, beside.own.unit),
            "of the other": lambda beside: number(beside.other.value or 0.0, beside.own.unit),
            f"{minus} [95 %]": _difference_text,
            "p (Holm)": lambda beside: (
                "" if beside.judged.p_value is None else p_text(beside.judged.p_value)
            ),
            "verdict": lambda beside: MARKS.get(beside.word, "") + beside.word,
        },
        title="Between",
        about="Differences between studies",
    )


def _difference_text(beside: ScoreComparison) -> str:
    difference = beside.judged.difference
    return difference_text(difference, beside.own.unit) if difference else "not paired"


def network_table(results: Sequence[ModelResults]) -> Table | None:
    """What was asked for and got, sizes and speeds: a row a study and a network."""
    several = len(results) > 1
    rows = [
        ({"study": result.name} if several else {}) | row
        for result in results
        for row in rows_of(result.grid)
    ]
    if not rows:
        return None
    columns = dict.fromkeys(name for row in rows for name in row)
    return Table(
        title="Networks",
        about="What was asked for and what was got",
        header=tuple(columns),
        rows=tuple(tuple(row.get(column, "") for column in columns) for row in rows),
    )
