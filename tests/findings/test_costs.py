"""Costs over those of dense, within rounds."""

import statistics
from dataclasses import replace

from drawn_axes import bars, line
from report_records import record

from widthwise.findings import cost_ratios
from widthwise.report import (
    plot_cost,
)
from widthwise.report.svg import panel
from widthwise.study import Record


def priced(width: int, asked: str, items: tuple[float, ...], what: str = "8x4 ttft") -> Record:
    at = (None if asked == "dense" else "ppm", asked, width)
    told = {"workload": what.split()[0]}
    return record(at, what, "sec", statistics.median(items), n=5, items=items, settings=told)


def test_a_cost_is_its_ratio_to_dense_within_rounds() -> None:
    dense, cut = (1.0, 2.0, 4.0, 1.0, 1.0), (0.5, 1.0, 2.0, 0.6, 0.5)
    records = [priced(1536, "dense", dense), priced(912, "1.6x", cut)]
    (column,) = cost_ratios(records, "ttft").values()
    one, other = column.values()
    assert (one.value, one.standard_error) == (1.0, None)
    assert other.value == 0.5  # though the medians over rounds are 1.0 and 0.6
    ax = plot_cost(cost_ratios(records, "ttft"), "ttft", panel()[1])
    assert line(ax, "line-8x4") == [1.0, 0.5]
    ((low, high),) = bars(ax)["8x4"]
    assert low < 0.5 < high


def test_working_memory_is_the_one_that_was_counted() -> None:
    records = [priced(w, a, (w / 8.0,), "8x4 resident") for w, a in ((1536, "dense"), (768, "x"))]
    gone = {"value": None, "items": (), "reason": "no count is kept", "n": 0}
    records += [replace(r, quantity="8x4 allocated", cell="a" + r.cell, **gone) for r in records]
    (column,) = cost_ratios(records, "working").values()
    assert [found.value for found in column.values()] == [1.0, 0.5]


def test_costs_without_dense_or_of_other_rounds_have_no_ratio() -> None:
    assert cost_ratios([priced(912, "1.6x", (1.0, 1.0))], "ttft") == {}
    short = [priced(1536, "dense", (1.0, 1.0)), priced(912, "1.6x", (1.0,))]
    assert cost_ratios(short, "ttft") == {}
