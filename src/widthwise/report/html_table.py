"""A table as a reader of the page sorts and filters it."""

from __future__ import annotations

from dataclasses import dataclass

from ..findings import Table
from .csv_links import csv_data_uri

MARKS = {"improves": "▲ ", "degrades": "▼ ", "at the floor": "○ ", "below the floor": "○ "}
_FILTERED = ("task", "study", "criterion", "verdict")
_SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One cell: what it shows, what it is sorted by, and what stands small below."""

    text: str
    key: float | str
    below: str

    @property
    def by(self) -> str:
        """The key as the page has it; empty sorts last."""
        return repr(self.key) if isinstance(self.key, float) else self.key


@dataclass(frozen=True, kw_only=True)
class HtmlTable:
    """A table of the page.

    Attributes:
        name: Of the file that it is as CSV; an identifier too.
        about: Read to those who do not see it.
        header: Name of each column, and whether it holds numbers.
        rows: Cells, and the values by which the row is filtered.
        filters: What the rows may be filtered by, and the values of each.
        csv: Link to the texts of all cells.
    """

    name: str
    about: str
    header: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[tuple[TableCell, ...], str], ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    csv: str


def html_table(table: Table, name: str, filtered: bool) -> HtmlTable:
    """The view of a table; `filtered` ones can be filtered by the columns that name things."""
    cells = [tuple(map(_cell, row)) for row in table.rows]
    keys = [[row[i].key for row in cells] for i in range(len(table.header))]
    numeric = [
        all(isinstance(key, float) or key == "" for key in column)
        and any(isinstance(key, float) for key in column)
        for column in keys
    ]
    columns = [i for i, name in enumerate(table.header) if filtered and name in _FILTERED]
    choices = {i: [str(key) or "missing" for key in keys[i]] for i in columns}
    kept = {i: values for i, values in choices.items() if len(set(values)) > 1}
    texts = [[text.replace("\n", " ") for text in row] for row in table.rows]
    return HtmlTable(
        name=name,
        about=table.about or table.title,
        header=tuple(zip(table.header, numeric, strict=True)),
        rows=tuple(
            (row, "|".join(values[place] for values in kept.values()))
            for place, row in enumerate(cells)
        ),
        filters=tuple((table.header[i], tuple(dict.fromkeys(v))) for i, v in kept.items()),
        csv=csv_data_uri([table.header, *texts]),
    )


def _cell(text: str) -> TableCell:
    first, _, below = text.partition("\n")
    return TableCell(text=first, key=sort_key(first), below=below)


def sort_key(text: str) -> float | str:
    """The number that a text begins with; the text itself if it begins with none.

    Example:
        >>> sort_key("+0.100 [0, +0.200]"), sort_key("1,376"), sort_key("<0.001"), sort_key("ppm")
        (0.1, 1376.0, 0.001, 'ppm')
        >>> sort_key("134.5 M"), sort_key("x 1.105 [1.000, 1.221]"), sort_key("▼ degrades")
        (134500000.0, 1.105, 'degrades')
    """
    if text in ("-", "–", "not paired") or text.startswith("missing"):  # noqa: RUF001  en dash
        return ""
    word, _, rest = text.removeprefix("x ").partition(" ")
    unit = rest.partition(" ")[0].removesuffix("B")
    try:
        number = float(word.rstrip("%x").lstrip("<").replace(",", ""))
    except ValueError:
        return text.lstrip("▲▼○ ")
    return number * _SCALES.get(unit, 1.0)
