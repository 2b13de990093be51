"""Text in rows and columns, the same on a terminal, on a page and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

_EMPTY = ("", "-")
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Attributes:
        title: A few words.
        about: One sentence: what the rows are.
        header: A word for each column.
        rows: As many cells each as the header; what stands small below a cell is a line of its own.
        notes: Sentences below the table.
    """

    title: str
    about: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        items: Iterable[Item],
        columns: Mapping[str, Callable[[Item], str]],
        *,
        title: str,
        about: str,
        notes: Iterable[str] = (),
    ) -> Table:
        """A row an item: each column has a name, and says of an item what stands in its cell.

        Example:
            >>> columns = {"number": str, "square": lambda n: str(n**2)}
            >>> Table.of([1, 2], columns, title="", about="").rows
            (('1', '1'), ('2', '4'))
        """
        rows = tuple(tuple(cell(item) for cell in columns.values()) for item in items)
        return cls(title=title, about=about, header=tuple(columns), rows=rows, notes=tuple(notes))

    def nonempty(self) -> Table:
        """The columns that say something.

        Example:
            >>> Table(title="", about="", header=("a", "b"), rows=(("1", "-"),)).nonempty().header
            ('a',)
        """
        columns = range(len(self.header))
        kept = [i for i in columns if any(row[i] not in _EMPTY for row in self.rows)]
        header, *rows = (tuple(row[i] for i in kept) for row in (self.header, *self.rows))
        return replace(self, header=header, rows=tuple(rows))

    def markdown(self) -> str:
        """The rows as Markdown.

        Example:
            >>> print(Table(title="", about="", header=("a", "b"), rows=(("1", "2"),)).markdown())
            | a | b |
            | --- | --- |
            | 1 | 2 |
        """
        lines = (self.header, ["---"] * len(self.header), *self.rows)
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
