"""Tables of findings: rows, adjusted p-values and what is missing."""

from dataclasses import replace

import numpy as np
from findings_records import WIDTHS, findings_of, place, study
from report_records import record, score, sweep_records

from widthwise.findings import build_findings
from widthwise.stats import holm

CONFIDENT = (180, 171, 150, 140, 118, 101, 90)


def test_pairs_are_adjusted_before_the_strongest_are_shown() -> None:
    """Seven tasks are 21 pairs; 12 are shown, with Holm's p of all that do not go one way."""
    rng = np.random.default_rng(2)
    records = []
    for i in range(7):
        counts = [180, *(int(c) for c in rng.integers(80, 181, 6))]
        records += study(counts, task=f"task{i}")
    found = findings_of(records)
    own = sorted(found.correlations, key=lambda p: -abs(p.correlation.pearson or 0))
    known = [p.correlation.p_value for p in own if not p.one_way]
    adjusted = holm(known)
    (table,) = [t for t in found.tables if t.title == "Tasks that move together"]
    assert table.header[2] == "p (Holm)"
    assert len(table.rows) == 12
    shown = [row[2] for row, pair in zip(table.rows, own, strict=False) if not pair.one_way]
    assert shown == [f"{p:.3f}" if p < 1 else "1" for p in adjusted[: len(shown)]]
    assert f"p is adjusted for all {len(known)} pairs that have one." in table.notes


def test_a_table_of_curves_says_which_direction_of_the_numbers_is_better() -> None:
    """Bits per byte that rose, and were below their floor, were said to fall and to be above it."""
    bits = [
        replace(
            score(place("ppm", width), "prose", [value] * 20, unit="bits_per_byte", floor=4.6),
            higher_is_better=False,
        )
        for width, value in zip(WIDTHS, (1.05, 1.1, 1.29), strict=False)
    ]
    tables = findings_of([*bits, *study(CONFIDENT[:3], task="piqa")]).tables
    (curves,) = [table for table in tables if table.title == "Cut by ppm"]
    units = dict(zip(curves.header, zip(*curves.rows, strict=True), strict=True))["unit"]
    assert units == ("bits per byte, lower is better", "accuracy")
    assert "better than floor to" in curves.header
    assert not any("above the floor" in note for table in tables for note in table.notes)
    falls = "where lower is better, the number rises as quality falls"
    assert any(falls in note for note in curves.notes)
    (shares,) = [t for t in findings_of(study(CONFIDENT)).tables if t.title == "Cut by ppm"]
    assert not any(falls in note for note in shares.notes)


def test_a_cost_that_is_called_by_its_unit_has_it_once() -> None:
    quantity = "64x8x1 throughput"
    how = {"n": 3, "items": (8.0, 9.0, 10.0), "higher_is_better": True}
    speeds = [
        record(place("ppm", width), quantity, "tokens_per_sec", 9.0, **how) for width in WIDTHS[:2]
    ]
    tables = findings_of([*study((180, 150)), *speeds]).tables
    (costs,) = [table for table in tables if table.title == "Quality against cost"]
    assert costs.header[2:] == ("64x8x1 tokens/s",)


def test_two_curves_that_only_fall_have_no_p() -> None:
    found = findings_of([*study(CONFIDENT, task="piqa"), *study(CONFIDENT[:6], task="arc")])
    (pair,) = found.correlations
    assert pair.one_way
    (table,) = [t for t in found.tables if t.title == "Tasks that move together"]
    assert table.rows[0][2] == "-"
    assert any(note.startswith("No p where both only fall or only rise") for note in table.notes)


def test_thirteen_tasks_with_gaps_stay_short() -> None:
    found = findings_of(sweep_records(12))
    assert 3 <= len(found.sentences) <= 7
    assert max(map(len, found.sentences)) < 420
    notes = [note for table in found.tables for note in table.notes]
    assert any(n.startswith("Missing, no memory: mmlu of dense; piqa of random") for n in notes)
    for table in found.tables:
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_a_task_that_failed_everywhere_is_missing_with_its_reason() -> None:
    gone = {"value": None, "standard_error": None, "items": (), "n": 0, "reason": "no network"}
    lost = [replace(r, **gone, higher_is_better=None) for r in study((1, 1), 1, task="mmlu")]
    found = findings_of([*study((170, 100)), *lost])
    assert {curve.quantity for curve in found.curves} == {"piqa"}
    assert "Missing, no network: mmlu of dense and ppm 2.39x" in found.tables[0].notes
    assert found.sentences[0].endswith("beats the floor on piqa.")


def test_chance_stands_beside_a_correlation() -> None:
    counts = {"a": (160, 150, 140, 120, 100, 80, 70), "b": (170, 150, 140, 130, 100, 90, 60)}
    records = [r for task, row in counts.items() for r in study(row, task=task)]
    for task, row in counts.items():
        records += study(row[::-1], task=task, criterion="random")[1:]
    assert WIDTHS[0] in {r.width for r in records if r.criterion is None}
    (found,) = build_findings(records)
    table = next(t for t in found.tables if t.title == "Tasks that move together")
    assert table.header[-1] == "r by chance"
    assert float(table.rows[0][-1]) > 0.9
