"""Paired differences: coverage, symmetry, McNemar by hand, and the edges."""

import math
from math import comb, inf

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from widthwise.errors import RunError
from widthwise.stats import (
    Difference,
    Estimate,
    add_draw_variance,
    mean_with_error,
    paired_difference,
    paired_share_interval,
    ratio_with_error,
)
from widthwise.stats.difference import _sign_flips


def answers(wins: int, losses: int, ties: int) -> tuple[list[float], list[float]]:
    """0/1 items of two networks: the first alone right, the second alone right, both right."""
    return [1.0] * wins + [0.0] * losses + [1.0] * ties, [0.0] * wins + [1.0] * (losses + ties)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    p_win, p_loss, hits, studies = 0.25, 0.10, 0, 400
    for _ in range(studies):
        differences = rng.choice([1.0, -1.0, 0.0], 100, p=[p_win, p_loss, 1 - p_win - p_loss])
        found = paired_difference(differences == 1, differences == -1, resamples=1000)
        hits += found.low <= p_win - p_loss <= found.high
    # 400 studies at 95 % have a standard error of 1.1 points: 3.5 of them, and one more point
    # below for the lattice of 1/100 that the means live on.
    assert 0.95 - 0.048 < hits / studies < 0.95 + 0.038


def test_interval_of_a_few_normal_items_covers_too() -> None:
    rng = np.random.default_rng(2)
    hits, studies = 0, 400
    for _ in range(studies):
        found = paired_difference(rng.normal(0.5, 1, 8), np.zeros(8), resamples=300)
        hits += found.low <= 0.5 <= found.high
    # The plain percentile interval covers 88 % at n = 8; the expanded one is near 95 %.
    assert hits / studies > 0.95 - 0.038


def test_interval_matches_student_for_normal_items() -> None:
    items = np.random.default_rng(3).normal(0.3, 1, 60)
    found = paired_difference(items, np.zeros(60))
    low, high = ttest_rel(items, np.zeros(60)).confidence_interval()
    # Quantiles of 10 000 draws are good to about 2 % of the width, skew of 60 items to as much.
    assert found.low == pytest.approx(low, abs=0.04 * (high - low))
    assert found.high == pytest.approx(high, abs=0.04 * (high - low))


def test_difference_is_antisymmetric() -> None:
    a, b = answers(23, 11, 66)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert there.value == -back.value == 0.12
    # The same law is drawn with other numbers; means of 100 items lie on a lattice of 1/100.
    assert there.low == pytest.approx(-back.high, abs=0.0101)
    assert there.high == pytest.approx(-back.low, abs=0.0101)
    assert there.p_value == back.p_value


def test_difference_is_reproducible_and_seeded() -> None:
    a, b = np.random.default_rng(4).normal(size=(2, 50))
    assert paired_difference(a, b) == paired_difference(a, b)
    assert paired_difference(a, b).low != paired_difference(a, b, seed=1).low


def test_interval_narrows_with_less_confidence() -> None:
    a, b = answers(23, 11, 66)
    wide, narrow = paired_difference(a, b), paired_difference(a, b, confidence=0.5)
    assert wide.low < narrow.low <= narrow.high < wide.high


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (0, 5), (3, 9), (12, 12)])
def test_p_value_is_the_binomial_by_hand(wins: int, losses: int) -> None:
    discordant, fewer = wins + losses, min(wins, losses)
    tail = sum(comb(discordant, k) for k in range(fewer + 1)) / 2**discordant
    found = paired_difference(*answers(wins, losses, 10)).p_value
    assert found == pytest.approx(min(1, 2 * tail), rel=1e-12)  # the same sum in another order


def test_sign_flips_of_binary_items_agree_with_mcnemar() -> None:
    a, b = answers(9, 3, 5)
    rng = np.random.default_rng(5)
    drawn = _sign_flips(np.array(a) - np.array(b), rng, 10_000)
    # p = 0.146 of 10 000 draws has a standard error of 0.0035; four of them.
    assert drawn == pytest.approx(paired_difference(a, b).p_value, abs=0.014)


def test_two_equal_differences_are_never_significant() -> None:
    found = paired_difference([1.5, 1.5], [1.0, 1.0])
    assert (found.value, found.low, found.high) == (0.5, -inf, inf)
    assert found.p_value > 0.4  # 1/2 by enumeration


def test_one_item_says_nothing() -> None:
    found = paired_difference([1.0], [0.0])
    assert (found.low, found.high, found.p_value, found.n) == (-inf, inf, 1.0, 1)


def test_equal_networks_differ_by_zero() -> None:
    found = paired_difference([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (found.value, found.p_value) == (0, 1)
    z = 1.959964  # of no item that moved, Tango's ends are those of Wilson's: z² / (n + z²)
    assert (-found.low, found.high) == pytest.approx((z**2 / (3 + z**2),) * 2, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "at least one item; got none"),
        ([1.0], [1.0, 0.0], "equal lengths; got 1 and 2"),
        ([float("nan"), 1.0], [1.0, 0.0], "must be finite"),
    ],
)
def test_bad_pairs_are_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(RunError, match=message):
        paired_difference(a, b)


def test_mean_of_one_value_has_no_error() -> None:
    found = mean_with_error([0.5])
    assert found == Estimate(value=0.5, standard_error=None, n=1)
    assert found.interval() == (-inf, inf)


def test_mean_of_equal_values_has_zero_error() -> None:
    assert mean_with_error([0.25] * 4) == Estimate(value=0.25, standard_error=0.0, n=4)


def test_mean_of_nothing_is_refused() -> None:
    with pytest.raises(RunError, match="at least one value; got none"):
        mean_with_error([])


def test_ratio_error_matches_simulation() -> None:
    rng = np.random.default_rng(6)
    found = ratio_with_error(
        Estimate(value=30.0, standard_error=0.6, n=5), Estimate(value=20.0, standard_error=0.3, n=4)
    )
    drawn = rng.normal(30, 0.6, 100_000) / rng.normal(20, 0.3, 100_000)
    assert (found.value, found.n) == (1.5, 4)
    # A standard deviation of 1e5 draws is good to 0.2 %; the second order is (0.3/20)² = 0.02 %.
    assert found.standard_error == pytest.approx(drawn.std(), rel=0.01)


def test_ratio_edges() -> None:
    alone, zero = mean_with_error([2.0]), Estimate(value=0.0, standard_error=0.1, n=9)
    assert ratio_with_error(alone, alone) == Estimate(value=1.0, standard_error=None, n=1)
    with pytest.raises(RunError, match="denominator must not be 0"):
        ratio_with_error(alone, zero)


def test_few_values_have_the_exact_p_of_their_flips() -> None:
    """Six gains of any size: two of the 64 ways to flip their signs are as far from 0."""
    gains = [2.3, 1.9, 2.8, 0.4, 1.1, 3.0]
    assert paired_difference(gains, [0.5] * 6).p_value == 4 * 0.5**6  # the loss of 0.1 may flip too
    assert paired_difference(gains, [0.0] * 6).p_value == 2 * 0.5**6
    assert paired_difference([1.5] * 12, [0.25] * 12).p_value == 2 * 0.5**12


@pytest.mark.parametrize("draws", [2, 3, 5])
def test_luck_of_draws_is_in_the_difference(draws: int) -> None:
    """A network and draws of a control, all of one kind, with luck four times the error of the
    items: at most 5 % are called different, and 3 standard errors of 1.3 % for 300 studies."""
    rng = np.random.default_rng(3)
    wrong = plain = 0
    for _ in range(300):
        luck = rng.normal(0, 0.1, 1 + draws)
        items = luck[:, None] + rng.normal(0, 0.25, (1 + draws, 100))
        found = paired_difference(items[0], items[1:].mean(axis=0), resamples=300)
        wide = add_draw_variance(found, items[1:].mean(axis=1).tolist())
        # The network's own luck is one draw more, which no one can know of a single network: here
        # it is taken off, as what is asked is whether this network is beyond the control's mean.
        own = Difference(
            value=wide.value - luck[0],
            low=wide.low - luck[0],
            high=wide.high - luck[0],
            n=wide.n,
            p_value=wide.p_value,
        )
        wrong += not own.low <= 0 <= own.high
        plain += not found.low - luck[0] <= 0 <= found.high - luck[0]
    assert wrong / 300 <= 0.05 + 3 * 0.013
    assert plain / 300 > 0.3  # without it


def test_draws_never_make_a_difference_surer() -> None:
    lead = Difference(value=0.3, low=0.25, high=0.38, n=50, p_value=0.01)
    assert add_draw_variance(lead, []) == add_draw_variance(lead, [0.4]) == lead
    for draws in ([0.4, 0.4, 0.4], [0.4, 0.401], [0.4, 0.5, 0.6]):
        wide = add_draw_variance(lead, draws)
        further = add_draw_variance(lead, draws, beside_one_more=True)
        assert further.low < wide.low < lead.low
        assert further.high > wide.high > lead.high
        assert further.p_value >= wide.p_value >= lead.p_value


def test_what_says_nothing_says_nothing_with_draws_either() -> None:
    """One item has no interval, and two equal differences have an endless one."""
    for a, b in (([1.0], [0.0]), ([1.5, 1.5], [1.0, 1.0])):
        found = paired_difference(a, b)
        assert add_draw_variance(found, [0.4, 0.6], beside_one_more=True) == found


def test_draws_that_came_out_alike_are_not_without_luck() -> None:
    """The variance of a draw is at least k / (k + 1) of that of the difference, 0.05² of it here:
    of 2 draws that agree √(1/3) 0.05 goes into the interval by t with 1 degree of freedom."""
    half = 0.05 * t.ppf(0.975, 99)
    lead = Difference(value=0.3, low=0.3 - half, high=0.3 + half, n=100, p_value=1e-6)
    wide = add_draw_variance(lead, [0.5, 0.5])
    expected = math.hypot(half, 0.05 / math.sqrt(3) * t.ppf(0.975, 1))
    assert wide.value - wide.low == pytest.approx(expected, rel=1e-9)  # rounding of a quantile
    assert wide.p_value > 0.05


@pytest.mark.parametrize("value", [0.3, -0.3, 0.02])
@pytest.mark.parametrize("draws", [(0.50, 0.58), (0.1, 0.2, 0.35)])
def test_p_value_is_that_of_the_interval_which_touches_0(
    value: float, draws: tuple[float, ...]
) -> None:
    half = 0.05 * t.ppf(0.975, 99)
    lead = Difference(value=value, low=value - half, high=value + half, n=100, p_value=1e-9)
    found = add_draw_variance(lead, draws)
    half = 0.05 * t.ppf(1 - found.p_value / 2, 99)
    lead = Difference(value=value, low=value - half, high=value + half, n=100, p_value=1e-9)
    same = add_draw_variance(lead, draws, confidence=1 - found.p_value)
    nearest = same.low if value > 0 else same.high
    assert nearest == pytest.approx(0, abs=1e-6)  # a root is found to 1e-9 of the logarithm of p
    assert (found.p_value <= 0.05) == (not found.low <= 0 <= found.high)


def test_draws_must_be_finite() -> None:
    lead = Difference(value=0.3, low=0.25, high=0.38, n=50, p_value=0.01)
    with pytest.raises(RunError, match=r"scores of draws must be finite; got 0.4, nan"):
        add_draw_variance(lead, [0.4, float("nan")])


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_interval_of_few_values_is_students(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n))
    found = paired_difference(a, b)
    assert (found.low, found.high) == pytest.approx(tuple(ttest_rel(a, b).confidence_interval()))


def test_interval_of_shares_in_which_few_items_moved_is_never_a_point() -> None:
    """Means of three networks' 0/1 items: of 60 none or two differ, by a third each."""
    other = np.ones(60)
    for moved in (0, 2):
        mean = other.copy()
        mean[:moved] -= 1 / 3
        found = paired_difference(mean, other)
        assert found.low < found.value < found.high or moved == 0
        low, high = paired_share_interval(0, moved / 3, 60)
        assert found.low <= low + 1e-12  # sums of thirds
        assert found.high >= high - 1e-12
