"""Intervals beside scipy's, and at the edges where they were a point, or infinite, or crossed."""

from itertools import pairwise
from math import inf

import numpy as np
import pytest
from scipy import stats

from widthwise.errors import RunError
from widthwise.stats import (
    Estimate,
    Positive,
    Share,
    Stopped,
    confidence_sequence,
    correlation,
    mean_with_error,
    paired_share_interval,
    rank_correlation,
    share_interval,
    skewed_interval,
    t_interval,
    t_p_value,
    unpaired_difference,
)


@pytest.mark.parametrize(("right", "n"), [(0, 4), (3, 7), (7, 7), (0, 32), (1, 32), (20, 60)])
def test_intervals_of_shares_are_those_of_scipy(right: int, n: int) -> None:
    method = "exact" if n < 8 else "wilson"
    known = stats.binomtest(right, n).proportion_ci(method=method)
    assert share_interval(right / n, n) == pytest.approx((known.low, known.high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 4, 7, 8, 32, 400])
def test_more_right_items_move_both_ends_up_and_no_interval_is_a_point(n: int) -> None:
    ends = [share_interval(k / n, n) for k in range(n + 1)]
    for (low, high), (next_low, next_high) in pairwise(ends):
        assert low < next_low
        assert high < next_high or high == 1
        assert low < high
    assert ends[0][0] == 0
    assert ends[-1][1] == 1


def test_a_share_of_other_values_than_0_and_1_has_students_interval() -> None:
    values = [0.2, 0.3, 0.9, 0.4, 0.5, 0.1]
    mean = mean_with_error(values)
    share = Share(value=mean.value, standard_error=mean.standard_error, n=6)
    assert not share.is_binary
    assert share.interval() == pytest.approx(mean.interval())
    same = Share(value=0.5, standard_error=0.0, n=20)
    assert same.interval() == share_interval(0.5, 20)
    wide = Share(value=0.9, standard_error=0.05, n=3).interval()
    assert wide == (pytest.approx(0.9 - 0.05 * stats.t.ppf(0.975, 2)), 1.0)


def test_published_errors_of_shares_are_known_as_such() -> None:
    """Of n items in place of n - 1."""
    share = Share(value=0.25, standard_error=(0.25 * 0.75 / 100) ** 0.5, n=100)
    assert share.is_binary


def test_students_interval_is_scipys_and_unknown_errors_leave_all_open() -> None:
    values = [1.0, 2.0, 4.0]
    known = stats.ttest_1samp(values, 0)
    mean = mean_with_error(values)
    assert mean.interval() == pytest.approx(tuple(known.confidence_interval()))
    assert t_p_value(mean.value, mean.standard_error, 2) == pytest.approx(known.pvalue)
    assert t_interval(1.0, None, 5) == t_interval(1.0, 0.1, 0) == (-inf, inf)


def test_a_perplexity_has_students_interval_of_its_logarithm() -> None:
    logs = np.array([3.0, 3.5, 2.8, 3.3])
    value = float(np.exp(logs.mean()))
    error = value * float(logs.std(ddof=1)) / 2
    low, high = stats.ttest_1samp(logs, 0).confidence_interval()
    found = Positive(value=value, standard_error=error, n=4).interval()
    assert found == pytest.approx((np.exp(low), np.exp(high)))
    assert Positive(value=0.0, standard_error=1.0, n=4).interval() == (0.0, inf)


def test_an_early_stop_has_the_interval_that_holds_at_every_stop() -> None:
    values = (1.0, 0.0, 1.0, 1.0) * 40
    stopped = Stopped(value=0.75, standard_error=0.034, n=160, values=values)
    known = confidence_sequence(values, low=0, high=1)
    assert stopped.interval() == (known.low, known.high)
    low, high = Share(value=0.75, standard_error=0.0344, n=160).interval()
    assert known.low < low
    assert known.high > high


def test_unpaired_shares_of_ten_of_ten_are_not_known_to_be_equal() -> None:
    """Newcombe's ends: Wilson's of 10 of 10 reach down to .722."""
    one = Share(value=1.0, standard_error=0.0, n=10)
    found = unpaired_difference(one, one)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((-0.278, 0.278), abs=1e-3)
    assert found.p_value == 1
    assert unpaired_difference(one, Estimate(value=1.0, standard_error=None, n=1)) is None


@pytest.mark.parametrize(("won", "lost", "n"), [(0, 0, 0), (3, 2, 4)])
def test_impossible_counts_are_refused(won: int, lost: int, n: int) -> None:
    with pytest.raises(RunError, match="must be at least 1 and those that moved; got"):
        paired_share_interval(won, lost, n)


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(RunError, match=r"must be in \[0, 1\], of 1 item or more; got 1.5 of 4"):
        share_interval(1.5, 4)


@pytest.mark.parametrize("n", [4, 5, 7, 8, 12])
def test_points_in_line_are_not_certain(n: int) -> None:
    """The p-value of a perfect r is that of ranks, 2 / n!, and its interval is no point."""
    line, back = list(range(n)), list(range(n))[::-1]
    up, down = correlation(line, line), correlation(line, back)
    assert up.p_value == down.p_value == pytest.approx(2 / float(np.prod(range(1, n + 1))))
    assert up.low < 0.99
    assert up.high == 1.0
    assert (down.low, down.high) == (-1.0, -up.low)
    ranks = rank_correlation(line, line)
    assert ranks.low < 0.99
    assert ranks.high == pytest.approx(1.0)
    one_off = correlation(line, [1, 0, *line[2:]])
    assert one_off.low < up.low or n < 6  # nearly in line says less, from a few points on


def test_values_without_skew_have_students_interval() -> None:
    values = np.array([-3.0, -2, -1, -0.5, 0.5, 1, 2, 3])
    low, high = skewed_interval(values.tolist())
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert (low, high) == pytest.approx(t_interval(0.0, error, len(values) - 1))


def test_an_interval_of_skewed_values_reaches_further_where_they_do() -> None:
    values = stats.gamma(2).ppf((np.arange(24) + 0.5) / 24)
    low, high = skewed_interval(values.tolist())
    assert high - values.mean() > values.mean() - low
    mirrored = skewed_interval((-values).tolist())
    assert mirrored == pytest.approx((-high, -low))
    assert skewed_interval([2.0] * 8) == (2.0, 2.0)
    assert skewed_interval([1.0, 2, 3, 4, 5, 6, 7]) == (-inf, inf)


@pytest.mark.long
@pytest.mark.parametrize("count", [8, 24, 60])
def test_both_ends_of_it_are_rarely_wrong(count: int) -> None:
    rng, draws = np.random.default_rng(count), 2000
    ends = np.array([skewed_interval(rng.gamma(2, 0.5, count).tolist()) for _ in range(draws)])
    # 5 % of 2,000 draws has a standard error of 0.5 points; three of them. Student's interval
    # of 8 such values is too low in 7 %.
    assert (ends[:, 1] < 1).mean() <= 0.05 + 0.015
    assert (ends[:, 0] > 1).mean() <= 0.025 + 0.011
