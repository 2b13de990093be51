"""The charts of a demo, and the sentence on more time."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from report_records import make_records, score

from widthwise.cli import demo_result
from widthwise.findings import build_grid, estimate_of


def demo(**fields: Any) -> Any:
    """A demo that has ended, as far as the sentence looks at it."""
    known = {"more": {}, "more_seconds": 0.0, "counts": {"arc_easy": 100, "prose": 40}}
    return SimpleNamespace(**{**known, **fields})


def test_more_time_says_what_it_would_ask_and_show() -> None:
    grid = build_grid(make_records())
    said = demo_result.more_time(demo(more={"arc_easy": 400}, more_seconds=150), grid)
    begin = "In 4 more minutes (the same command with --minutes 4) it would ask arc_easy 300 more"
    assert said.startswith(begin)
    found = re.search(r"± ([0-9.]+) in place of ± ([0-9.]+) percentage points", said)
    assert found is not None
    later, now = map(float, found.groups())
    assert later == pytest.approx(now / 2, abs=0.05 + 1e-9)  # of four times as many; one decimal
    text = demo_result.more_time(demo(more={"prose": 50}, more_seconds=150), grid)
    assert text.endswith("ask prose 10 more items.")  # bits are no share: nothing is promised
    new = demo_result.more_time(demo(more={"piqa": 64}, counts={}), grid)
    assert "ask piqa 64 items" in new
    assert demo_result.more_time(demo(), grid).startswith("All items")


def test_rows_go_from_wide_to_narrow_with_a_gap_between_widths() -> None:
    grid = build_grid(make_records())
    rows = demo_result._rows(grid, "arc_easy", estimate_of, is_share=True)
    named = [None if row is None else row.label.split() for row in rows]
    assert named[:5] == [["dense"], None, ["-2.4x", "2.39x", "ppm"], ["random"], None]
    assert sum(row is None for row in rows) == 6
    first = cast(Any, rows[0])
    assert first.low < first.value < first.high
    assert re.fullmatch(r"[0-9]+ \[[0-9]+, [0-9]+\] %", first.text)


def test_what_was_not_measured_has_no_row() -> None:
    grid = build_grid(make_records())
    assert demo_result._rows(grid, "sciq", estimate_of) == []


@pytest.mark.parametrize(("items", "charts"), [(2, 0), (8, 1)])
def test_a_few_questions_get_no_chart(
    items: int, charts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two right answers of two, all intervals reach from end to end."""
    made = [record for record in make_records() if record.quantity == "arc_easy"]
    few = [
        score((record.criterion, record.asked, record.width), "sciq", [1.0] * (items - 1) + [0.0])
        for record in made
    ]
    demo_result.print_demo(demo(records=tuple(few)))
    assert capsys.readouterr().out.count("What it knows") == charts
