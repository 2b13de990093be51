"""Correlations beside scipy, beside the numbers that a paper rests on, and of too few points."""

import numpy as np
import pytest
from scipy import stats

from widthwise.errors import RunError
from widthwise.stats import correlation, correlation_lead

# arXiv 2512.22671: MMLU and TruthfulQA-MC2 at seven widths, dense first.
MMLU = {
    "3B": (0.5605, 0.4333, 0.2909, 0.2307, 0.2587, 0.2555, 0.2589),
    "1B": (0.3111, 0.2511, 0.2661, 0.2610, 0.2689, 0.2606, 0.2554),
}
MC2 = {
    "3B": (0.3919, 0.3767, 0.4302, 0.4390, 0.4484, 0.4391, 0.4574),
    "1B": (0.3772, 0.4026, 0.4153, 0.4252, 0.4298, 0.4314, 0.4661),
}


@pytest.mark.parametrize("n", [3, 4, 7, 8, 9, 40])
def test_both_correlations_are_those_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    a = rng.normal(size=n)
    b = a + rng.normal(size=n)
    found, pearson, spearman = correlation(a, b), stats.pearsonr(a, b), stats.spearmanr(a, b)
    assert found.pearson == pytest.approx(pearson.statistic, abs=1e-12)  # sums of up to 40 numbers
    assert found.p_value == pytest.approx(pearson.pvalue, rel=1e-9)
    assert found.spearman == pytest.approx(spearman.statistic, abs=1e-12)
    if n > 3:
        interval = pearson.confidence_interval()
        assert (found.low, found.high) == pytest.approx(tuple(interval), abs=1e-12)
    if n > 8:
        assert found.spearman_p_value == pytest.approx(spearman.pvalue, rel=1e-9)


def test_rank_p_value_of_few_points_is_exact() -> None:
    """Of 4 points in order, 2 of 24 orders are as far from 0: both straight ones."""
    assert correlation([1, 2, 3, 4], [1, 2, 3, 4]).spearman_p_value == pytest.approx(2 / 24)
    a, b = [1, 2, 2, 4, 5], [2, 1, 3, 3, 5]  # ties: scipy goes through all orders too
    exact = stats.permutation_test(
        (a,), lambda x: stats.spearmanr(x, b).statistic, permutation_type="pairings"
    )
    assert correlation(a, b).spearman_p_value == pytest.approx(exact.pvalue)


@pytest.mark.parametrize(
    ("model", "r", "p", "low", "high", "without_dense"),
    [("3B", -0.8644, 0.0121, -0.98, -0.32, -0.940), ("1B", -0.676, 0.096, -0.95, 0.16, -0.018)],
)
def test_golden_numbers_of_the_paper(
    model: str, r: float, p: float, low: float, high: float, without_dense: float
) -> None:
    """Tolerances: half of the last digit that is known."""
    found = correlation(MMLU[model], MC2[model])
    assert found.pearson == pytest.approx(r, abs=5e-4)
    assert found.p_value == pytest.approx(p, abs=5e-4)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-3)
    without = correlation(MMLU[model][1:], MC2[model][1:])
    assert without.pearson == pytest.approx(without_dense, abs=5e-4)
    assert found.without_one is not None
    assert found.without_one[0] <= without_dense + 5e-4
    assert found.without_one[1] >= without_dense - 5e-4
    assert found.warning == "7 points only: a correlation of fewer than 10 says little"


def test_leaving_one_out_is_the_range_of_all_that_can_be_left_out() -> None:
    a, b = MMLU["1B"], MC2["1B"]
    left = [stats.pearsonr(np.delete(a, i), np.delete(b, i)).statistic for i in range(7)]
    assert correlation(a, b).without_one == pytest.approx((min(left), max(left)), abs=1e-12)


def test_three_points_leave_everything_open() -> None:
    found = correlation([1, 2, 3], [1, 2, 4])
    assert (found.low, found.high, found.without_one) == (-1.0, 1.0, None)
    assert correlation([1, 2], [3, 5]).p_value is None


def test_ten_points_need_no_warning() -> None:
    rng = np.random.default_rng(0)
    assert correlation(rng.normal(size=9), rng.normal(size=9)).warning
    assert not correlation(rng.normal(size=10), rng.normal(size=10)).warning


def test_a_row_that_does_not_vary_has_no_correlation() -> None:
    found = correlation([0.25] * 5, [1, 2, 3, 4, 5])
    assert (found.pearson, found.p_value, found.spearman, found.without_one) == (None,) * 4
    assert (found.low, found.high) == (-1.0, 1.0)
    only_one_differs = correlation([1, 1, 1, 1, 2], [1, 2, 3, 4, 5])
    assert only_one_differs.pearson is not None
    assert only_one_differs.without_one is None


def test_a_line_and_huge_numbers() -> None:
    line = correlation([1, 2, 3, 4, 5], [1e200, 2e200, 3e200, 4e200, 5e200])
    assert line.pearson == pytest.approx(1.0, abs=1e-12)
    assert line.low <= line.pearson <= line.high


@pytest.mark.parametrize("interval_holds", [0.95])
def test_interval_holds_the_truth_as_often_as_it_says(interval_holds: float) -> None:
    """Of 1,000 draws of 12 points at rho .6: 95 % ± 3 standard errors of that share (2.1 %)."""
    rng = np.random.default_rng(1)
    pairs = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=(1000, 12))
    found = [correlation(pair[:, 0], pair[:, 1]) for pair in pairs]
    share = np.mean([one.low <= 0.6 <= one.high for one in found])
    assert share == pytest.approx(interval_holds, abs=0.021)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], [2.0], "two rows of 2 or more; got 1 and 1"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "got 2 and 3"),
        ([1.0, float("nan")], [1.0, 2.0], "must be finite"),
    ],
)
def test_what_cannot_be_correlated_is_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(RunError, match=message):
        correlation(a, b)


def test_a_confidence_is_a_share() -> None:
    with pytest.raises(RunError, match=r"must be in \(0, 1\); got 1.5"):
        correlation([1, 2, 3, 4], [1, 3, 2, 4], confidence=1.5)


def test_a_lead_is_the_difference_of_two_r_and_knows_the_luck_of_items() -> None:
    """Beside numpy; with fewer items its interval is wider, and a row that is flat has r 0."""
    rng = np.random.default_rng(0)
    chances = np.linspace(0.9, 0.3, 6)[:, None]
    rows = [(rng.random((6, 400)) < at).astype(float) for at in (chances, chances, 1 - chances)]
    found = correlation_lead(*rows)
    first, second, target = (row.mean(axis=1) for row in rows)
    expected = np.corrcoef(first, target)[0, 1] - np.corrcoef(second, target)[0, 1]
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low <= found.value <= found.high
    assert (found.n, found) == (6, correlation_lead(*rows))
    few = correlation_lead(*(row[:, :40] for row in rows))
    assert few.high - few.low > 2 * (found.high - found.low)
    flat = correlation_lead(rows[0], np.ones((6, 400)), rows[2])
    assert flat.value == pytest.approx(np.corrcoef(first, target)[0, 1], abs=1e-12)
    assert flat.high < 0
    assert flat.p_value == pytest.approx(1 / 2001)
