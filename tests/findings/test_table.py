"""Tables of text."""

from __future__ import annotations

from widthwise.findings import Table


def squares() -> Table:
    columns = {"number": str, "square": lambda n: str(n**2), "note": lambda n: "-"}
    return Table.of([1, 2], columns, title="Squares", about="Of numbers.", notes=["A note."])


def test_each_item_is_a_row_of_what_each_column_says_of_it() -> None:
    table = squares()
    assert table.header == ("number", "square", "note")
    assert table.rows == (("1", "1", "-"), ("2", "4", "-"))
    assert table.notes == ("A note.",)


def test_columns_that_say_nothing_are_left_out() -> None:
    assert squares().nonempty().header == ("number", "square")
    assert squares().nonempty().rows == (("1", "1"), ("2", "4"))


def test_markdown_has_a_line_a_row() -> None:
    assert squares().nonempty().markdown().splitlines()[2:] == ["| 1 | 1 |", "| 2 | 4 |"]
