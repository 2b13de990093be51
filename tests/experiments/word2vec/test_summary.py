"""Rows of word2vec: what is set beside the limit, and what tells nothing."""

from __future__ import annotations

import pytest
from word2vec_results import result

from widthwise.experiments.word2vec import by_network, summary
from widthwise.stats import mean_with_error


def test_a_row_has_a_difference_from_the_limit_of_its_seed() -> None:
    runs = [result("1010"), result("1100", None), result("1111", seed=1), result("0000", None, 1)]
    first, second, *limits = summary(runs)
    assert first.to_limit is not None
    assert first.to_limit.value == 0.0
    assert first.to_limit.low < 0 < first.to_limit.high
    assert first.reason is None
    assert second.to_limit is None
    assert second.reason is not None
    assert second.reason.endswith("from the limit, which is the same in every question")
    assert all(row.to_limit is None and row.reason is None for row in limits)


@pytest.mark.parametrize(
    ("ours", "limits", "reason"),
    [
        ("0000", "0000", "as neither answers any question rightly"),
        ("1010", "1010", "which is the same in every question"),
        ("1", "0", "which is the same in every question"),
        ("0", "0", "as neither answers any question rightly"),
        ("0000", "1111", "which is the same in every question"),
    ],
)
def test_differences_that_do_not_vary_have_no_interval(ours: str, limits: str, reason: str) -> None:
    row, _ = summary([result(ours), result(limits, None)])
    assert row.to_limit is None
    assert row.reason == f"no interval of its difference from the limit, {reason}"
    assert row.interval is not None


@pytest.mark.parametrize(("bits", "low", "high"), [("0000", 0.0, 0.6024), ("0" * 12, 0.0, 0.2425)])
def test_an_accuracy_has_the_interval_of_all_shares(bits: str, low: float, high: float) -> None:
    """0 of 4 by Clopper and Pearson, 1 - .025^(1/4); 0 of 12 by Wilson, z² / (12 + z²)."""
    row, _ = summary([result(bits), result("1" * len(bits), None)])
    assert row.interval == pytest.approx((low, high), abs=5e-5)


def test_where_one_of_both_answers_nothing_the_difference_tells() -> None:
    row, _ = summary([result("0000"), result("1010", None)])
    assert row.to_limit is not None
    assert (row.to_limit.value, row.reason) == (-0.5, None)


def test_without_two_scores_there_is_nothing_to_tell() -> None:
    for runs in (
        [result("10")],
        [result("10"), result(None, None)],
        [result(None), result("1", None)],
    ):
        row = summary(runs)[0]
        assert (row.to_limit, row.reason) == (None, None)


def test_networks_of_several_seeds_are_means_and_differences_seed_by_seed() -> None:
    ours = [result("1000", seed=0), result("1100", seed=1), result("1000", seed=2)]
    limits = [result("1100", None, 0), result("1110", None, 1), result("1110", None, 2)]
    row, limit = by_network([*ours, *limits])
    mean = mean_with_error([0.25, 0.5, 0.25])
    ends = (0.0, mean.interval()[1])  # Student's lower end is below 0
    assert (row.label, row.accuracy, row.interval) == ("width 8", mean.value, ends)
    gap = mean_with_error([-0.25, -0.25, -0.5])
    assert row.to_limit is not None
    assert (row.to_limit.value, row.to_limit.low, row.to_limit.high) == (
        pytest.approx((gap.value, *gap.interval()))
    )
    assert limit.to_limit is None
    assert [run.seed for run in limit.runs] == [0, 1, 2]


def test_a_network_of_one_seed_has_the_intervals_of_its_run() -> None:
    runs = [result("1010"), result("1100", None), result(None, 16)]
    narrow, wide, _ = by_network(runs)
    first = summary(runs)[0]
    assert (narrow.interval, narrow.to_limit) == (first.interval, first.to_limit)
    assert (wide.accuracy, wide.interval, wide.reasons) == (None, None, ("it diverged",))


def test_failed_seeds_are_named_and_left_out_of_the_mean() -> None:
    row, _ = by_network([result("10"), result(None, seed=1), result("11", None)])
    assert (row.accuracy, row.interval, row.to_limit) == (0.5, None, None)
    assert row.reasons == ("seed 1: it diverged",)
