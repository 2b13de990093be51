"""Rank correlations with others held fixed: closed forms, coverage, edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from widthwise.errors import RunError
from widthwise.stats import rank_correlation, rank_lead


def rows(n: int, seed: int = 0, k: int = 3) -> Any:
    return np.random.default_rng(seed).normal(size=(k, n))


def test_without_anything_fixed_it_is_spearmans() -> None:
    first, second, _ = rows(23)
    second = np.round(second)  # ties
    found = rank_correlation(first, second)
    assert found.value == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert found.low < found.value < found.high


def test_with_one_row_fixed_it_is_the_formula_of_partial_correlation() -> None:
    first, second, held = rows(19, seed=1)
    first, second = first + held, second - held
    r = stats.spearmanr(np.array([first, second, held]).T).statistic
    want = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = rank_correlation(first, second, fixed=[held])
    assert found.value == pytest.approx(want, abs=1e-12)
    assert found.fixed == 1


def test_what_goes_by_the_fixed_row_alone_has_no_correlation_left() -> None:
    held = np.arange(9.0)
    found = rank_correlation(held**3, np.exp(held), fixed=[held])
    assert found.value is None
    assert (found.low, found.high) == (-1, 1)


def test_only_ranks_count() -> None:
    first, second, held = rows(15, seed=2)
    one = rank_correlation(first, second, fixed=[held])
    other = rank_correlation(np.exp(first), second**3, fixed=[2 * held + 1])
    assert one.value == pytest.approx(other.value, abs=1e-12)


def test_the_interval_covers_the_true_value_of_two_normals() -> None:
    """Spearman's of normals with correlation 0.6 is 6/pi asin 0.3. Of 400 samples 95 % are held,
    give or take 4 standard errors of 1.1 %; Fisher's interval of ranks is known to be near."""
    true, held = 6 / math.pi * math.asin(0.3), 0
    for seed in range(400):
        first, noise, _ = rows(24, seed=seed)
        found = rank_correlation(first, 0.6 * first + 0.8 * noise)
        held += found.low <= true <= found.high
    assert abs(held / 400 - 0.95) < 0.045


def test_a_lead_is_the_difference_and_its_interval_knows_which_is_more() -> None:
    first, second, noise = rows(40, seed=3)
    target = first + 0.3 * noise
    found = rank_lead(first, second, target)
    one, other = rank_correlation(first, target).value, rank_correlation(second, target).value
    assert one is not None
    assert other is not None
    assert found.value == pytest.approx(one - other, abs=1e-12)
    assert found.low > 0
    same = rank_lead(first, first, target)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert rank_lead(second, first, target).high < 0


def test_a_constant_row_has_no_value_and_the_widest_interval() -> None:
    first, second, _ = rows(9)
    assert rank_correlation([1.0] * 9, second).value is None
    found = rank_lead([1.0] * 9, first, second)
    assert (found.value, found.low, found.high) == (None, -2, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([1, 2], [1, 2]), "rows of 3 or more"),
        (([1, 2, 3], [1, 2, 3, 4]), "rows of 3 or more"),
        (([1, 2, math.nan], [1, 2, 3]), "must be finite"),
    ],
)
def test_bad_rows_are_refused(given: Any, message: str) -> None:
    with pytest.raises(RunError, match=message):
        rank_correlation(*given)
    with pytest.raises(RunError, match="confidence"):
        rank_correlation([1, 2, 3], [1, 2, 3], confidence=1)
