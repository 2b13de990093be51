"""Confidence sequences: a slow reference, coverage at the worst stop, width, rate, edges."""

import re
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from widthwise.errors import RunError
from widthwise.stats import (
    SequenceInterval,
    confidence_sequence,
    paired_difference,
    sequential_difference,
    stopping_index,
)
from widthwise.stats.sequential import ODDS_EXPONENTS, PRECISION, _ends

SLACK = 10 * PRECISION  # ends are found to PRECISION of a range of 2, on either side


def answers(rng: np.random.Generator, n: int, *, differ: float, mean: float) -> NDArray[np.float64]:
    """Differences of two networks' 0/1 answers: -1, 0 or 1."""
    chances = [(differ - mean) / 2, 1 - differ, (differ + mean) / 2]
    return rng.choice([-1.0, 0.0, 1.0], n, p=chances)


def same(one: SequenceInterval, other: SequenceInterval) -> bool:
    return one.n == other.n and np.allclose(
        [one.low, one.high], [other.low, other.high], rtol=0, atol=SLACK
    )


def money_of(values: NDArray[np.float64], mean: float) -> list[float]:
    """The gamblers' money after each value in [0, 1] against one mean, by the definition."""
    gamblers = [
        (1 / (2 + (k + 2) ** 2), 2.0**k / (1 + 2.0**k)) for k in ODDS_EXPONENTS
    ]  # weight, share
    total = sum(weight for weight, _ in gamblers)
    purses, history = [weight / total for weight, _ in gamblers], []
    for value in values:
        for index, (_, share) in enumerate(gamblers):
            purses[index] *= 1 + share * (value / mean - 1)
        history.append(sum(purses))
    return history


def test_ends_are_where_the_money_by_definition_reaches_its_limit() -> None:
    values = np.array([0.2, 0.9, 0.4, 1.0, 0.0, 0.7, 0.8, 0.6, 0.9, 0.3, 0.8] * 4)
    found = confidence_sequence(values, low=0.0, high=1.0, confidence=0.9)
    limit, step = 2 / (1 - 0.9), 1e-6
    for end, data in ((found.low, values), (1 - found.high, 1 - values)):
        assert 0 < end < 1
        assert max(money_of(data, end - step)) > limit > max(money_of(data, end + step))


def test_money_against_the_true_mean_is_a_martingale() -> None:
    for chance in (0.1, 0.5, 0.97):
        average = np.zeros(9)
        for path in range(2**9):
            values = np.array([path >> bit & 1 for bit in range(9)], dtype=np.float64)
            weight = np.prod(np.where(values == 1, chance, 1 - chance))
            average += weight * np.array(money_of(values, chance))
        np.testing.assert_allclose(average, 1, rtol=1e-12)  # rounding of 512 sums


@pytest.mark.long
@pytest.mark.parametrize(
    ("source", "confidence"),
    [("answers", 0.95), ("answers", 0.5), ("rare", 0.95), ("continuous", 0.5)],
)
def test_the_mean_is_rarely_excluded_even_once(source: str, confidence: float) -> None:
    rng = np.random.default_rng(3)
    runs, n, missed = 200, 2000, 0
    for _ in range(runs):
        if source == "answers":
            mean, values = -0.03, answers(rng, n, differ=0.10, mean=-0.03)
        elif source == "rare":
            mean, values = -0.01, answers(rng, n, differ=0.01, mean=-0.01)
        else:
            mean, values = 1 / 3, 2 * rng.beta(2, 1, n) - 1
        # Who stops at the first exclusion of the mean is wrong if there is any: if it is outside
        # what the intervals of all prefixes share.
        lower, upper = _ends((values + 1) / 2, confidence)
        missed += not lower <= (mean + 1) / 2 <= upper
    # Were the error as large as it may be, so many misses would come once in a thousand.
    assert missed <= binom.ppf(0.999, runs, 1 - confidence)


def test_the_interval_for_a_fixed_number_of_items_fails_at_the_worst_stop() -> None:
    rng = np.random.default_rng(3)
    runs, missed, n = 200, 0, np.arange(1, 2001)
    for _ in range(runs):
        values = answers(rng, 2000, differ=0.10, mean=-0.03)
        means = np.cumsum(values) / n
        errors = np.sqrt((np.cumsum(values**2) / n - means**2) / n)
        missed += bool((np.abs(means + 0.03) > 1.96 * errors)[200:].any())
    # So the test above has power: this one is beyond its limit, with the first 200 items spared.
    assert missed > binom.ppf(0.999, runs, 0.05)


def test_the_mean_of_a_shuffled_finite_set_is_rarely_excluded_even_once() -> None:
    rng = np.random.default_rng(4)
    items = answers(rng, 1499, differ=0.10, mean=-0.03)
    missed, runs = 0, 200
    for _ in range(runs):
        lower, upper = _ends((rng.permutation(items) + 1) / 2, 0.95)
        missed += not lower <= (items.mean() + 1) / 2 <= upper
    assert missed <= binom.ppf(0.999, runs, 0.05)


@pytest.mark.parametrize(("differ", "n"), [(0.05, 1000), (0.10, 1000), (0.10, 4000), (0.20, 4000)])
def test_width_is_less_than_twice_that_of_the_bootstrap(differ: float, n: int) -> None:
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(20):
        values = answers(rng, n, differ=differ, mean=-0.03)
        fixed = paired_difference(values == 1, values == -1, resamples=2000)
        ratios.append(2 * confidence_sequence(values).half_width / (fixed.high - fixed.low))
    # In normal approximation an end is √(2 A variance / n) away: A = log(40) + log(1 / weight) of
    # the best gambler, whose share is off by √2 at most, which costs 17 % of A. These cases have
    # k = -2 ± 1, of weight 0.17 at least, so A <= 6.6 and the ratio is below √(2 · 6.6) / 1.96 =
    # 1.85. For all looks it must be above 1. (Seen: 1.37 to 1.48.)
    assert 1 < np.mean(ratios) < 1.85


def test_half_width_shrinks_like_root_log_n_over_n() -> None:
    block = [0.0] * 4 + [-1.0] + [0.0] * 13 + [1.0, 0.0]  # a tenth differs, without noise
    sizes = np.array([1000, 4000, 16_000, 64_000])
    widths = [confidence_sequence(block * (n // 20)).half_width for n in sizes]
    slope = np.polyfit(np.log(sizes), np.log(widths), 1)[0]
    # Between 1/√n and √(log n / n): on these n the second falls as n^-0.444. Bernstein's term
    # A / 3n adds √(A / 18 n variance) = 6 % at n = 1000 and 1 % at 64,000: 0.012 of slope.
    assert -0.512 < slope < -0.444


def test_more_values_only_narrow_it() -> None:
    values = answers(np.random.default_rng(6), 701, differ=0.2, mean=0.05)
    seen = [confidence_sequence(values[:n]) for n in range(0, 702, 13)]
    assert [interval.n for interval in seen] == list(range(0, 702, 13))
    for before, after in pairwise(seen):
        assert before.low - SLACK <= after.low < after.high <= before.high + SLACK


def test_mirrored_and_rescaled_values_have_the_mirrored_and_rescaled_interval() -> None:
    values = answers(np.random.default_rng(7), 503, differ=0.3, mean=0.1)
    found = confidence_sequence(values)
    mirrored = confidence_sequence(-values)
    assert same(found, SequenceInterval(low=-mirrored.high, high=-mirrored.low, n=503))
    scaled = confidence_sequence(5 + 3 * values, low=2.0, high=8.0)
    assert same(
        found, SequenceInterval(low=(scaled.low - 5) / 3, high=(scaled.high - 5) / 3, n=503)
    )


def test_more_confidence_is_wider() -> None:
    values = answers(np.random.default_rng(8), 503, differ=0.1, mean=0.0)
    widths = [confidence_sequence(values, confidence=c).half_width for c in (0.5, 0.9, 0.95, 0.999)]
    assert widths == sorted(set(widths))


def test_values_that_drift_get_the_interval_of_all_of_them_alone() -> None:
    values = [1.0] * 500 + [-1.0] * 500  # prefixes share nothing
    lower, upper = _ends((np.array(values) + 1) / 2, 0.95)
    assert lower > upper
    found = confidence_sequence(values)
    # Alone means in any order; ±1 in turn leaves the prefixes' intervals around 0 as well.
    in_turn = confidence_sequence([1.0, -1.0] * 500)
    assert found.low < 0 < found.high
    assert found.half_width == pytest.approx(in_turn.half_width, rel=0.02)


def test_no_value_says_nothing_and_one_value_little() -> None:
    assert confidence_sequence([]) == SequenceInterval(low=-1.0, high=1.0, n=0)
    one = confidence_sequence([1.0])
    assert one.high == 1.0
    # The richest a single 1 makes against m is 1 + c (1 / m - 1) < 1 / m, and 1 / m < 40 is no
    # evidence: shares up to m = 1/40 may be excluded.
    assert -1 <= one.low <= -1 + 2 / 40


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.25, 1.0])
def test_constant_values_are_inside_and_narrow_quickly(value: float) -> None:
    found = confidence_sequence([value] * 1000)
    assert found.low <= value <= found.high
    # All but nothing is risked by the boldest (c = 16/17, weight 0.013): from (1 + c d)^n = 40 /
    # weight, d = 8.0 / 941 of the mean's share at most, and twice that in [-1, 1].
    assert found.half_width < 2 * 8.1 / 941


def test_first_narrow_is_the_first_prefix_that_is_narrow() -> None:
    values = answers(np.random.default_rng(9), 400, differ=0.1, mean=-0.03)
    widths = [confidence_sequence(values[:n]).half_width for n in range(401)]
    for half_width in (0.06, 0.1, 0.3, 0.9):
        by_looking = next(n for n, width in enumerate(widths) if width <= half_width)
        assert stopping_index(values, half_width) == by_looking
        assert stopping_index(values[:by_looking], half_width) == by_looking
        assert stopping_index(values[: by_looking - 1], half_width) is None


def test_first_narrow_of_a_width_that_needs_no_values_is_0() -> None:
    assert stopping_index([], 1.0) == 0
    assert stopping_index([], 0.99) is None


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([0.0, 1.5], {}, "values of a confidence sequence must be in [-1.0, 1.0]; got 1.5"),
        ([0.0, float("nan")], {}, "must be in [-1.0, 1.0]; got nan"),
        ([-0.5], {"low": 0.0}, "must be in [0.0, 1.0]; got -0.5"),
        ([0.0], {"low": 1.0}, "must be low < high; got 1.0 and 1.0"),
        ([0.0], {"confidence": 1.0}, "a confidence must be in (0, 1); got 1.0"),
    ],
)
def test_what_cannot_be_is_refused(
    values: list[float], options: dict[str, float], message: str
) -> None:
    with pytest.raises(RunError, match=re.escape(message)):
        confidence_sequence(values, **options)
    with pytest.raises(RunError, match=re.escape(message)):
        stopping_index(values, 0.02, **options)


@pytest.mark.parametrize("half_width", [-0.01, 0.0, float("nan")])
def test_a_half_width_that_is_not_above_0_is_refused(half_width: float) -> None:
    with pytest.raises(RunError, match="a half width must be above 0; got"):
        stopping_index([0.0], half_width)


@pytest.mark.parametrize(("differ", "mean"), [(0.1, -0.05), (0.3, 0.1), (0.1, 0.01), (0.02, 0.02)])
def test_p_value_is_the_smallest_alpha_whose_sequence_excludes_0(
    differ: float, mean: float
) -> None:
    values = answers(np.random.default_rng(10), 400, differ=differ, mean=mean)
    p_value = sequential_difference(values == 1, values == -1).p_value

    def excludes_0(alpha: float) -> bool:
        found = confidence_sequence(values, confidence=1 - alpha)
        return not found.low <= 0 <= found.high

    low, high = 1e-12, 1.0 - 1e-9
    if not excludes_0(high):
        assert p_value == 1.0
        return
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if excludes_0(middle) else (middle, high)
    # The bisection ends within a factor of 1.001; the ends are moved by 1e-10 of the range.
    assert p_value == pytest.approx(high, rel=2e-3)


def test_p_value_is_rarely_small_at_any_stop_if_nothing_differs() -> None:
    rng = np.random.default_rng(11)
    runs, small = 300, 0
    for _ in range(runs):
        values = answers(rng, 500, differ=0.1, mean=0.0)
        # Who stops at the smallest p has this one: the p-value never rises.
        small += sequential_difference(values == 1, values == -1).p_value <= 0.2
    # Were the chance as large as it may be, so many would come once in a thousand.
    assert small <= binom.ppf(0.999, runs, 0.2)


def test_sequential_difference_takes_the_items_that_both_have() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.integers(0, 2, 301), rng.integers(0, 2, 500)
    found = sequential_difference(a, b)
    assert found == sequential_difference(a, b[:301])
    assert found.n == 301
    assert found.value == pytest.approx(np.mean(a - b[:301]), abs=1e-15)  # rounding of one mean
    interval = confidence_sequence(a - b[:301])
    assert (found.low, found.high) == (interval.low, interval.high)
    mirrored = sequential_difference(b, a)
    assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-9)  # rounding of sums of logs
    assert mirrored.value == -found.value


def test_its_value_is_never_outside_its_interval() -> None:
    drift = [1.0] * 60 + [0.0] * 24  # prefixes exclude the mean of all
    found = sequential_difference(drift, [0.0] * 84)
    assert found.low == found.value > np.mean(drift)


def test_equal_answers_differ_by_nothing() -> None:
    found = sequential_difference([1.0, 0.0] * 100, [1.0, 0.0] * 100)
    assert (found.value, found.p_value) == (0.0, 1.0)
    assert found.low < 0 < found.high


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [1.0], "needs an item that both have; got none"),
        ([2.0], [1.0], "must be in [0.0, 1.0]; got 2.0"),
        ([0.0, 1.0], [0.0, float("nan")], "must be in [0.0, 1.0]; got nan"),
    ],
)
def test_a_sequential_difference_refuses_what_is_no_share(
    a: list[float], b: list[float], message: str
) -> None:
    with pytest.raises(RunError, match=re.escape(message)):
        sequential_difference(a, b)
