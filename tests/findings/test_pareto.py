"""Fronts of quality against cost, and pairs of tasks over widths."""

import math
from dataclasses import replace

import numpy as np
import pytest
from findings_records import WIDTHS, place, right, sizes, study
from report_records import record, score

from widthwise.findings import Front, build_findings, build_grid
from widthwise.findings.score_vector import score_vector
from widthwise.stats import share_interval
from widthwise.study import Record


def fronts(records: list[Record]) -> dict[tuple[str, str], Front]:
    (found,) = build_findings(records)
    return {(front.quality, front.cost): front for front in found.fronts}


def standing(front: Front) -> dict[str, tuple[bool, bool]]:
    return {point.label: (point.on_front, point.sure) for point in front.points}


def test_a_network_is_off_the_front_where_a_smaller_one_is_as_good() -> None:
    """2.11x is beaten by 1.86x; nothing is shown of 160 beside 159 right ones."""
    front = fronts([*study((180, 160, 100, 159, 40)), *sizes()])["piqa", "bytes"]
    found = standing(front)
    assert {label: on for label, (on, _) in found.items()} == {
        "dense": True,
        "ppm 2.39x": True,
        "ppm 2.11x": False,
        "ppm 1.86x": True,
        "ppm 1.58x": False,  # at the floor of 50
    }
    assert found["ppm 2.11x"][1]
    assert found["dense"][1]
    assert not found["ppm 2.39x"][1]
    assert [point.cost for point in front.points] == sorted(point.cost for point in front.points)
    assert all(point.cost == point.cost_low == point.cost_high for point in front.points)


def test_scores_of_a_part_of_the_items_share_less_luck() -> None:
    """One network of 100 items, the other of 1,000, of which they share the first 100: the variance
    of their difference is that of 2,000 made-up pairs, whose own error is 3 %."""
    rng = np.random.default_rng(0)
    made, told = [], []
    for _ in range(2000):
        shared = rng.normal(size=1000)
        own = shared + 0.3 * rng.normal(size=1000)
        long = score(place("ppm", WIDTHS[1]), "x", shared, unit="points")
        short = score(place("ppm", WIDTHS[2]), "x", own[:100], unit="points")
        column = score_vector(build_grid([long, short]), "x")
        assert column.covariance is not None
        made.append(column.values[0] - column.values[1])
        told.append(np.array([1, -1]) @ column.covariance @ np.array([1, -1]))
    assert np.var(made) == pytest.approx(np.mean(told), rel=4 * 0.032)


def test_a_network_below_the_floor_is_surely_off() -> None:
    found = standing(fronts([*study((180, 10)), *sizes()])["piqa", "bytes"])
    assert found["ppm 2.39x"] == (False, True)


def test_the_mean_is_of_tasks_above_their_floors() -> None:
    records = [
        *study((180, 160, 100), task="piqa", floor=0.5),
        *study((150, 130, 120), task="arc"),
        *study((50, 50, 50), task="mmlu"),
        *sizes(),
    ]
    front = fronts(records)["mean above floors", "bytes"]
    values = {point.label: point.value for point in front.points}
    assert values["dense"] == pytest.approx(((0.9 - 0.5) / 0.5 + (0.75 - 0.25) / 0.75) / 2)
    assert values["ppm 2.11x"] == pytest.approx((0 + (0.6 - 0.25) / 0.75) / 2)
    dense = next(point for point in front.points if point.label == "dense")
    assert dense.low is not None
    shares = [(score, share_interval(score, 200)[0]) for score in (0.9, 0.75)]
    parts = [(score - low) / 2 for score, low in shares]  # each weighs half
    assert dense.value - dense.low == pytest.approx(math.hypot(parts[0] / 0.5, parts[1] / 0.75))
    assert ("mmlu", "bytes") not in fronts(records)


def speeds(quantity: str, unit: str, values: dict[int, list[float]]) -> list[Record]:
    return [
        record(
            place("ppm", width),
            quantity,
            unit,
            sum(rounds) / len(rounds),
            standard_error=0.1,
            n=len(rounds),
            items=tuple(rounds),
            higher_is_better=unit == "tokens_per_sec",
        )
        for width, rounds in values.items()
    ]


@pytest.mark.parametrize(
    ("unit", "quantity", "wide", "narrow"),
    [("sec", "512x32 tpot", 1.0, 0.5), ("tokens_per_sec", "512x32 throughput", 1.0, 2.0)],
)
def test_times_and_throughputs_are_costs_in_their_direction(
    unit: str, quantity: str, wide: float, narrow: float
) -> None:
    """The narrow one is faster in every round, though the machine slows down for some."""
    slow = (1.0, 1.0, 3.0, 1.0, 1.01, 2.99, 1.0)
    values = {1536: [wide * s for s in slow], 1376: [narrow * s for s in slow]}
    records = [*study((150, 150)), *speeds(quantity, unit, values)]
    front = fronts(records)["piqa", quantity]
    assert front.lower_is_better == (unit == "sec")
    assert front.points[0].label == "ppm 2.39x"
    assert [point.on_front for point in front.points] == [True, False]
    lossless = replace(records[1], items=tuple(right(199, 200)), value=0.995)
    better = fronts([records[0], lossless, *records[2:]])["piqa", quantity]
    assert standing(better)["dense"] == (False, True)


def test_a_time_that_may_be_longer_beats_nothing_surely() -> None:
    """The narrow one is better for sure, and faster in the middle, not in every round."""
    rounds = {
        1536: [1.0, 1.2, 0.9, 1.1, 1.0, 1.3, 0.8],
        1376: [0.98, 0.9, 1.3, 1.0, 0.7, 1.4, 0.95],
    }
    records = [*study((120, 180)), *speeds("512x32 tpot", "sec", rounds)]
    found = standing(fronts(records)["piqa", "512x32 tpot"])
    assert found["dense"] == (False, False)


def test_working_memory_is_not_what_a_model_costs() -> None:
    memory = [replace(r, quantity="512x32 allocated", cell=f"{r.cell} memory") for r in sizes()]
    assert set(fronts([*study((150, 120)), *memory])) == set()


def test_a_cost_that_failed_leaves_its_network_out() -> None:
    gone = {"value": None, "reason": "no memory"}
    records = [replace(r, **gone) if r.width == 1376 else r for r in sizes()]
    front = fronts([*study((180, 160, 100)), *records])["piqa", "bytes"]
    assert set(standing(front)) == {"dense", "ppm 2.11x"}


def test_pairs_come_with_their_range_and_without_dense() -> None:
    records = [*study((160, 150, 140, 120, 100, 80, 70), task="a")]
    records += study((170, 150, 140, 130, 100, 90, 60), task="b")
    records += study((50, 51, 49, 50, 48, 52, 50), task="floored")
    (found,) = build_findings(records)
    pairs = {(p.first, p.second): p for p in found.correlations}
    assert set(pairs) == {("a", "b"), ("a", "floored"), ("b", "floored")}
    pair = pairs["a", "b"]
    assert pair.correlation.n == 7
    assert pair.without_dense is not None
    assert pair.without_dense.n == 6
    assert pair.reading == ""
    assert pairs["a", "floored"].reading == "floored never shown to beat the floor"
    table = found.tables[-1]
    assert [row[0] for row in table.rows] == ["a, b"]
    assert "7 points only: a correlation of fewer than 10 says little" in table.notes
    assert any(note.startswith("Left out: 2 pairs") for note in table.notes)


def test_a_score_without_a_floor_is_no_quality_of_a_front() -> None:
    bare = [
        score(place("ppm", w), "piqa", right(c, 200), floor=None)
        for w, c in zip(WIDTHS, (180, 160), strict=False)
    ]
    assert fronts([*bare, *sizes()]) == {}
