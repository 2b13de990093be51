"""Two models side by side on the tasks that both were asked, and why others cannot be compared."""

from __future__ import annotations

from dataclasses import replace

from findings_records import right, study
from report_records import score

from widthwise.report import paired_table, task_pairs

WHOLE = (None, "dense", 1536)


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


def test_tasks_of_one_model_alone_are_left_out_and_others_say_why() -> None:
    dense, *_ = study([150])
    own = replace(dense, model="cut", items=dense.items[:-1])
    more = score(WHOLE, "arc_easy", right(100, 200))
    pairs = task_pairs([own, replace(more, model="cut")], [dense])
    assert [(pair.task, pair.word) for pair in pairs] == [("piqa", "199 and 200 items")]
    assert pairs[0].difference == ""
