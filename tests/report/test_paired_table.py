"""Two models side by side on the tasks that both were asked."""

from __future__ import annotations

from dataclasses import replace

from findings_records import right, study

from widthwise.findings import task_pairs
from widthwise.report import paired_table


def test_a_row_a_task_with_the_difference_and_what_may_be_said() -> None:
    dense, *_ = study([150])
    own = replace(dense, model="cut", items=tuple(right(100, 200)), value=0.5)
    table = paired_table(task_pairs([own], [dense]), ("cut", "dense"))
    assert table.header == (
        "task", "dense", "cut", "difference [95 %]", "p", "verdict", "lost", "won", "n",
    )  # fmt: skip
    (row,) = table.rows
    assert row[0] == "piqa"
    assert row[3].startswith("-0.250 [")
    assert row[4] == "<0.001"
    assert row[5:] == ("degrades", "25.0 %", "0.0 %", "200")
