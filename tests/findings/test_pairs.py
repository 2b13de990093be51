"""Two models on the tasks that both were asked, and why others cannot be compared."""

from __future__ import annotations

from dataclasses import replace

from findings_records import right, study
from report_records import score

from widthwise.findings import task_pairs

WHOLE = (None, "dense", 1536)


def test_tasks_of_one_model_alone_are_left_out_and_others_say_why() -> None:
    dense, *_ = study([150])
    own = replace(dense, model="cut", items=dense.items[:-1])
    more = score(WHOLE, "arc_easy", right(100, 200))
    pairs = task_pairs([own, replace(more, model="cut")], [dense])
    assert [(pair.quantity, pair.word) for pair in pairs] == [("piqa", "199 and 200 items")]
    assert pairs[0].difference == ""
