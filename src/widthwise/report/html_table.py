"""Tables that a reader sorts and filters: every cell has its text and what it is sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..findings import Grid, GridRow, shown_word
from ..stats import difference_text, number, p_text
from ..study import Record
from .model_results import ModelResults
from .network_table import rows_of
from .panels import csv_data_uri
from .score_table import COLUMNS, TaskScores, nonempty_columns
from .study_comparison import ScoreComparison

MARKS = {"improves": "▲ ", "degrades": "▼ ", "at the floor": "○ ", "below the floor": "○ "}
_FILTERED = ("task", "study", "criterion", "verdict")


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One cell: what it shows, what it is sorted by, and what stands small below."""

    text: str
    key: float | str | None = None
    below: str = ""

    @property
    def by(self) -> str:
        """The key as the page has it; empty sorts last."""
        key = self.text if self.key is None else self.key
        return repr(key) if isinstance(key, float) else key


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """Cells, and the values by which the row is filtered."""

    cells: tuple[TableCell, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HtmlTable:
    """A table of the page.

    Attributes:
        name: Of the file that it is as CSV; an identifier too.
        about: Read to those who do not see it.
        header: Name of each column, and whether it holds numbers.
        rows: In the order in which they are first shown.
        filters: What the rows may be filtered by, and the values of each.
        csv: Link to the texts of all cells.
    """

    name: str
    about: str
    header: tuple[tuple[str, bool], ...]
    rows: tuple[TableRow, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    csv: str


def score_table(series: Sequence[ModelResults]) -> HtmlTable | None:
    """Every score: a row a task, a study and a network; None if there is none."""
    several = len(series) > 1
    blocks = [
        (one, one.grid, table) for one in series if one.grid is not None for table in one.scores
    ]
    if not blocks:
        return None
    order = list(dict.fromkeys(table.task for _, _, table in blocks))
    blocks.sort(key=lambda block: order.index(block[2].task))
    shown = nonempty_columns([table for _, _, table in blocks])[1:]
    header = [("task", False), *([("study", False)] if several else []), ("criterion", False)]
    header += [("I/H", True), (COLUMNS[1], True), ("floor", True)]
    header += [(COLUMNS[i], COLUMNS[i] != "verdict") for i in shown[1:]]
    rows = [
        row for one, grid, table in blocks for row in _score_rows(one, grid, table, shown, several)
    ]
    names = [name for name in _FILTERED if several or name != "study"]
    return _table("scores", "Every score", header, rows, names)


def beside_table(found: Sequence[ScoreComparison]) -> HtmlTable | None:
    """Every difference between studies on the same items; None if there is none."""
    if not found:
        return None
    names = {(one.second, one.first) for one in found}
    minus = " minus ".join(*names) if len(names) == 1 else "study minus the other"
    header = [("task", False), ("study", False), ("minus study", False)]
    header += [("network", False), ("score", True), ("of the other", True)]
    header += [(f"{minus} [95 %]", True), ("p (Holm)", True), ("verdict", False)]
    rows = []
    for one in found:
        difference, p_value = one.judged.difference, one.judged.p_value
        assert one.own.value is not None  # only values are paired
        assert one.other.value is not None
        word = "degrades" if one.is_worse else shown_word(one.judged, one.own)
        unit = one.own.unit
        cells = (
            *(TableCell(text=text) for text in (one.quantity, one.second, one.first, one.place)),
            TableCell(text=number(one.own.value, unit), key=one.own.value),
            TableCell(text=number(one.other.value, unit), key=one.other.value),
            TableCell(
                text=difference_text(difference, unit) if difference else "not paired",
                key=difference.value if difference else "",
            ),
            TableCell(text=p_text(p_value) if p_value is not None else "", key=p_value),
            TableCell(text=MARKS.get(word, "") + word, key=word),
        )
        rows.append(TableRow(cells=cells, choices=(one.quantity, one.second, word)))
    return _table(
        "between", "Differences between studies", header, rows, (*_FILTERED[:2], "verdict")
    )


def network_table(series: Sequence[ModelResults]) -> HtmlTable | None:
    """What was asked for and got, sizes and speeds: a row a study and a network."""
    several = len(series) > 1
    tables = [(one, *rows_of(one.grid)) for one in series if one.grid is not None]
    if not tables:
        return None
    extra = list(dict.fromkeys(name for _, header, _ in tables for name in header[4:]))
    header = [*([("study", False)] if several else []), ("criterion", False), ("asked", False)]
    header += [("width", True), ("I/H", True), *((name, True) for name in extra)]
    rows = []
    for one, names, texts in tables:
        assert one.grid is not None
        for network, cells in zip(one.grid.networks, texts, strict=True):
            found = dict(zip(names, cells, strict=True))
            own = [TableCell(text=one.name)] if several else []
            own += [TableCell(text=found["criterion"]), TableCell(text=network.asked_for)]
            own.append(TableCell(text=f"{network.width:,}", key=float(network.width)))
            own.append(TableCell(text=network.ratio, key=network.expansion_ratio))
            own += [_cost_cell(one.grid, network, q, found.get(q, "")) for q in extra]
            choices = (*([one.name] if several else []), found["criterion"])
            rows.append(TableRow(cells=tuple(own), choices=choices))
    names = [*(["study"] if several else []), "criterion"]
    return _table("networks", "What was asked for and what was got", header, rows, names)


def text_table(
    name: str, about: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> HtmlTable:
    """A table of texts; a cell that begins with a number is sorted by it."""
    keyed = [
        TableRow(cells=tuple(TableCell(text=text, key=_leading(text)) for text in row), choices=())
        for row in rows
    ]
    columns = list(zip(*keyed_keys(keyed), strict=True)) or [()] * len(header)
    numeric = [
        bool(column)
        and all(isinstance(key, float) or key == "" for key in column)
        and any(isinstance(key, float) for key in column)
        for column in columns
    ]
    return _table(name, about, list(zip(header, numeric, strict=True)), keyed, ())


def keyed_keys(rows: Sequence[TableRow]) -> list[list[float | str | None]]:
    return [[cell.key for cell in row.cells] for row in rows]


def _table(
    name: str,
    about: str,
    header: Sequence[tuple[str, bool]],
    rows: Sequence[TableRow],
    filters: Sequence[str],
) -> HtmlTable:
    values = [tuple(dict.fromkeys(row.choices[i] for row in rows)) for i in range(len(filters))]
    kept = [i for i, found in enumerate(values) if len(found) > 1]
    rows = [TableRow(cells=r.cells, choices=tuple(r.choices[i] for i in kept)) for r in rows]
    texts = [[" ".join(filter(None, (c.text, c.below))) for c in row.cells] for row in rows]
    return HtmlTable(
        name=name,
        about=about,
        header=tuple(header),
        rows=tuple(rows),
        filters=tuple((filters[i], values[i]) for i in kept),
        csv=csv_data_uri([[column for column, _ in header], *texts]),
    )


def _score_rows(
    one: ModelResults, grid: Grid, table: TaskScores, shown: Sequence[int], several: bool
) -> list[TableRow]:
    places = [n for n in grid.networks if (n, table.task) in grid.cells]
    rows = []
    for network, texts in zip(places, table.rows, strict=True):
        record = grid.cells[network, table.task]
        word = texts[COLUMNS.index("verdict")]
        found = one.judged.get((network, table.task))
        keys: dict[str, float | str | None] = {
            "score ± s.e.": record.value if record.value is not None else "",
            "minus dense [95 %]": found.difference.value if found and found.difference else "",
            "p (Holm)": found.p_value if found and found.p_value is not None else "",
            "verdict": word,
            "n": float(record.n),
        }
        cells = [TableCell(text=table.task), *([TableCell(text=one.name)] if several else [])]
        cells += [TableCell(text=network.shown)]
        cells.append(TableCell(text=network.ratio, key=network.expansion_ratio))
        cells.append(TableCell(text=texts[1], key=keys[COLUMNS[1]]))
        cells.append(_floor_cell(record))
        for i in shown[1:]:
            mark = MARKS.get(texts[i], "") if COLUMNS[i] == "verdict" else ""
            key = keys.get(COLUMNS[i], _leading(texts[i]))
            cells.append(TableCell(text=mark + texts[i], key=key))
        criterion = network.shown
        choices = (table.task, *([one.name] if several else []), criterion, word or "missing")
        rows.append(TableRow(cells=tuple(cells), choices=choices))
    return rows


def _floor_cell(record: Record) -> TableCell:
    if record.floor is None:
        return TableCell(text="", key="")
    return TableCell(text=number(record.floor, record.unit), key=record.floor)


def _cost_cell(grid: Grid, network: GridRow, quantity: str, text: str) -> TableCell:
    first, _, below = text.partition("\n")
    record = grid.cost(network, quantity)
    value = record.value if record else None
    return TableCell(text=first, key="" if value is None else value, below=below)


def _leading(text: str) -> float | str:
    """The number that a text begins with; the text itself if it begins with none.

    Example:
        >>> _leading("+0.100 [0, +0.200]"), _leading("1,376"), _leading("<0.001"), _leading("ppm")
        (0.1, 1376.0, 0.001, 'ppm')
    """
    word = text.partition(" ")[0].rstrip("%x").lstrip("<").replace(",", "")
    try:
        return float(word)
    except ValueError:
        return "" if text in ("-", "–") else text  # noqa: RUF001  an en dash, as tables have it
