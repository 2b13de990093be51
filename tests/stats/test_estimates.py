"""Ratios of paired rounds: what slows a whole round cancels."""

from __future__ import annotations

import pytest

from widthwise.errors import RunError
from widthwise.stats import paired_ratio


def test_a_slow_spell_of_the_machine_cancels() -> None:
    dense = [2000.0, 2100.0, 1900.0, 1800.0, 500.0, 600.0, 470.0]
    faster = [1.25 * speed for speed in dense]
    ratio = paired_ratio(faster, dense)
    assert (ratio.value, ratio.standard_error, ratio.n) == (1.25, 0.0, 7)


def test_the_median_shrugs_off_the_round_in_which_the_spell_began() -> None:
    dense, faster = [2000.0] * 7, [2500.0] * 6 + [600.0]
    ratio = paired_ratio(faster, dense)
    assert ratio.value == 1.25
    low, high = ratio.interval()
    assert low < 1.25 < high


def test_a_ratio_and_its_inverse_say_the_same() -> None:
    """However wild the rounds: no interval goes below 0."""
    a, b = [1.0, 9.0, 1.2, 0.9, 30.0], [1.0, 1.1, 1.2, 8.0, 1.0]
    ratio, inverse = paired_ratio(a, b), paired_ratio(b, a)
    assert ratio.value == pytest.approx(1 / inverse.value)
    low, high = ratio.interval()
    assert 0 < low < ratio.value < high
    # the same draws for both, and logarithms that differ in sign alone
    assert (1 / high, 1 / low) == pytest.approx(inverse.interval())


def test_unpaired_rounds_are_refused() -> None:
    for a, b in (([1.0], [1.0, 2.0]), ([], []), ([1.0], [0.0]), ([-1.0], [1.0])):
        with pytest.raises(RunError, match="needs the same rounds of both"):
            paired_ratio(a, b)
