"""The tables of every number on the page of studies: scores, differences between studies, costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..findings import Grid, Table, shown_word
from ..stats import difference_text, number, p_text
from .html_table import MARKS
from .model_results import ModelResults
from .network_table import rows_of
from .score_table import COLUMNS, TaskScores, nonempty_columns
from .study_comparison import ScoreComparison

_MARKED = COLUMNS.index("verdict")


def score_table(results: Sequence[ModelResults]) -> Table | None:
    """Every score: a row a task, a study and a network; None if there is none."""
    several = len(results) > 1
    blocks = [
        (result, result.grid, table)
        for result in results
        if result.grid is not None
        for table in result.scores
    ]
    if not blocks:
        return None
    order = list(dict.fromkeys(table.task for _, _, table in blocks))
    blocks.sort(key=lambda block: order.index(block[2].task))
    shown = nonempty_columns([table for _, _, table in blocks])[1:]
    study = ("study",) if several else ()
    columns = tuple(COLUMNS[i] for i in shown)
    return Table(
        title="Scores",
        about="Every score",
        header=("task", *study, "criterion", "I/H", columns[0], "floor", *columns[1:]),
        rows=tuple(
            (table.task, *((result.name,) if several else ()), *row)
            for result, grid, table in blocks
            for row in _score_rows(grid, table, shown)
        ),
    )


def _score_rows(grid: Grid, table: TaskScores, shown: Sequence[int]) -> Iterator[tuple[str, ...]]:
    places = [n for n in grid.networks if (n, table.task) in grid.cells]
    for network, texts in zip(places, table.rows, strict=True):
        record = grid.cells[network, table.task]
        floor = "" if record.floor is None else number(record.floor, record.unit)
        score, *others = (
            MARKS.get(texts[i], "") + texts[i] if i == _MARKED else texts[i] for i in shown
        )
        yield network.shown, network.ratio, score, floor, *others


def comparison_table(comparisons: Sequence[ScoreComparison]) -> Table | None:
    """Every difference between studies on the same items; None if there is none."""
    if not comparisons:
        return None
    names = {(comparison.second, comparison.first) for comparison in comparisons}
    minus = " minus ".join(*names) if len(names) == 1 else "study minus the other"
    header = ("task", "study", "minus study", "network", "score", "of the other")
    rows = []
    for comparison in comparisons:
        word = "degrades" if comparison.is_worse else shown_word(comparison.judged, comparison.own)
        unit, difference = comparison.own.unit, comparison.judged.difference
        assert comparison.own.value is not None  # only values are paired
        assert comparison.other.value is not None
        rows.append(
            (
                *(comparison.quantity, comparison.second, comparison.first, comparison.place),
                *(number(value, unit) for value in (comparison.own.value, comparison.other.value)),
                difference_text(difference, unit) if difference else "not paired",
                "" if comparison.judged.p_value is None else p_text(comparison.judged.p_value),
                MARKS.get(word, "") + word,
            )
        )
    return Table(
        title="Between",
        about="Differences between studies",
        header=(*header, f"{minus} [95 %]", "p (Holm)", "verdict"),
        rows=tuple(rows),
    )


def network_table(results: Sequence[ModelResults]) -> Table | None:
    """What was asked for and got, sizes and speeds: a row a study and a network."""
    several = len(results) > 1
    tables = [(result.name, *rows_of(result.grid)) for result in results if result.grid is not None]
    if not tables:
        return None
    columns = list(dict.fromkeys(name for _, header, _ in tables for name in header))
    rows = []
    for study, header, texts in tables:
        for cells in texts:
            row = dict(zip(header, cells, strict=True))
            study_cell = (study,) if several else ()
            rows.append((*study_cell, *(row.get(column, "") for column in columns)))
    return Table(
        title="Networks",
        about="What was asked for and what was got",
        header=(*(("study",) if several else ()), *columns),
        rows=tuple(rows),
    )
