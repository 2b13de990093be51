"""Networks beside their limit."""

from __future__ import annotations

from math import sqrt

import pytest
from scipy.stats import t as student

from widthwise.experiments.limit_differences import paired_differences, verdicts
from widthwise.stats import Difference, Estimate


def test_differences_of_one_seed_add_errors_and_of_several_are_paired() -> None:
    def at(value: float, error: float = 0.03) -> Estimate:
        return Estimate(value=value, standard_error=error, n=100)

    one = paired_differences({0: at(0.5)}, {0: at(0.6, 0.04)})
    assert one is not None
    half = 1.98421695158642 * 0.05  # t, 99 degrees; the root of 0.03² + 0.04²
    assert (one.low, one.high) == pytest.approx((-0.1 - half, -0.1 + half))
    several = paired_differences(
        {0: at(0.5), 1: at(0.7), 2: at(0.9)}, {0: at(0.6), 1: at(0.8), 2: at(0.97)}
    )
    assert several is not None
    half = student.ppf(0.975, 2) * 0.0173205081 / sqrt(3)  # of -0.1, -0.1, -0.07
    assert (several.low, several.high) == pytest.approx((-0.09 - half, -0.09 + half))
    assert several.p_value == pytest.approx(2 * student.sf(0.09 / 0.01, 2))
    assert paired_differences({0: at(0.5)}, {1: at(0.6)}) is None


def test_what_holm_does_not_carry_is_not_said() -> None:
    weak = Difference(value=-0.1, low=-0.19, high=-0.01, n=9, p_value=0.03)
    strong = Difference(value=0.2, low=0.1, high=0.3, n=9, p_value=0.001)
    assert verdicts({"a": weak}) == {"a": "below"}
    assert verdicts({"a": weak, "b": weak, "c": strong, "d": None}) == {
        "a": "no difference shown",
        "b": "no difference shown",
        "c": "above",
    }
