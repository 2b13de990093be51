"""The tables of every number: scores, differences between studies, networks."""

from __future__ import annotations

from report_records import COST_TOLD, COST_UNITS, record, score
from two_studies import CUT, PARENT, before, right, stored

from widthwise.report.model_results import results_of
from widthwise.report.study_comparison import compare
from widthwise.report.study_tables import comparison_table, network_table, score_table


def test_several_studies_have_a_column_that_names_them() -> None:
    after = stored("after", [score(CUT, "piqa", right(120)), score(CUT, "mmlu", right(120))])
    alone = score_table(results_of([before()]))
    both = score_table(results_of([before(), after]))
    assert alone is not None
    assert both is not None
    assert alone.header[:4] == ("task", "criterion", "I/H", "score ± s.e.")
    assert both.header[:4] == ("task", "study", "criterion", "I/H")
    assert [row[:3] for row in both.rows] == [
        ("piqa", "before", "dense"),
        ("piqa", "before", "ppm"),
        ("piqa", "before", "random"),
        ("piqa", "after", "ppm"),
        ("mmlu", "after", "ppm"),
    ]
    assert {len(row) for row in both.rows} == {len(both.header)}


def test_a_difference_stands_with_both_scores_and_its_verdict() -> None:
    after = stored("after", [score(PARENT, "piqa", right(150)), score(CUT, "piqa", right(120))])
    table = comparison_table(compare(results_of([before(), after]))[0])
    assert table is not None
    assert table.header[-3:] == ("after minus before [95 %]", "p (Holm)", "verdict")
    same, better = table.rows
    assert same[:6] == ("piqa", "after", "before", "dense", "0.750", "0.750")
    assert better[3:6] == ("ppm 1.58x", "0.600", "0.400")
    assert better[6].startswith("+0.200 [")
    assert (same[-1].endswith("no change shown"), better[-1].endswith("improves")) == (True, True)


def test_a_loss_that_ends_at_the_floor_degrades_still() -> None:
    ones = [score(CUT, "piqa", right(n)) for n in (80, 40)]
    studies = [stored("before", ones[:1]), stored("after", ones[1:])]
    table = comparison_table(compare(results_of(studies))[0])
    assert table is not None
    assert table.rows[0][-1].endswith("degrades")


def test_networks_of_several_studies_share_the_columns() -> None:
    sizes = stored("sizes", [record(CUT, "bytes", "bytes", 1e8, n=1)])
    table = network_table(results_of([before(), sizes]))
    assert table is not None
    assert table.header[:2] == ("study", "criterion")
    assert "bytes" in table.header
    place = table.header.index("bytes")
    assert [(row[0], row[place]) for row in table.rows] == [
        ("before", ""),
        ("before", ""),
        ("before", ""),
        ("sizes", "100.0 MB"),
    ]


def test_without_scores_there_are_no_tables() -> None:
    costs = [
        record(PARENT, f"8x4 {what}", unit, 1.0, n=5, items=(1.0,) * 5, settings=COST_TOLD)
        for what, unit in COST_UNITS.items()
    ]
    results = results_of([stored("timed", costs)])
    assert score_table(results) is None
    assert comparison_table(()) is None
    assert network_table(results) is None
