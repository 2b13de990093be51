"""The table of distances: a row a task and a network, and what is not known stays away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from findings_records import study

from widthwise.findings import build_grid
from widthwise.report import distance_table, write_page
from widthwise.study import ItemDistances


def far(divergence: float) -> ItemDistances:
    return ItemDistances(
        tokens=(5, 5),
        divergence=(divergence, 3 * divergence),
        agreement=(0.9, 0.8),
        acceptance=(0.95, 0.85),
    )


def test_a_row_says_all_that_is_known() -> None:
    dense, wide, narrow, *_ = study([150, 140, 130])
    records = [dense, replace(wide, distances=far(0.001)), narrow]
    table = distance_table([("", build_grid(records))])
    assert table is not None
    assert table.header == (
        "task", "network", "KL [95 %]", "same first choice", "accepted", "lost", "won",
    )  # fmt: skip
    first, second = table.rows
    # Of two items, the logarithm's error is 0.001 / 0.002, and Student's quantile is 12.7.
    assert first[:3] == ("piqa", "ppm 2.39x", "0.002 [0.000, 1.149]")
    assert first[3].endswith(" %")
    assert first[5:] == ("5.0 %", "0.0 %")
    assert second[2:5] == ("", "", "")
    assert second[5:] == ("10.0 %", "0.0 %")


def test_there_is_none_where_nothing_was_compared() -> None:
    dense, *_ = study([150])
    assert distance_table([("", build_grid([dense]))]) is None


def test_several_studies_are_named() -> None:
    grid = build_grid(study([150, 140]))
    table = distance_table([("one", grid), ("other", grid)])
    assert table is not None
    assert [row[1] for row in table.rows] == ["one", "other"]


def test_the_page_has_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    dense, wide, *_ = study([150, 140])
    write_page([dense, replace(wide, distances=far(0.1))], page, title="t", settings={})
    text = page.read_text()
    assert "Distance from dense" in text
    assert "same first choice" in text
