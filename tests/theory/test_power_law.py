"""Powers of the width and the errors of their slopes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    activation,
    converge,
    fit_rate,
    standard_cases,
)

STANDARD = dict(zip(("linear", "tanh", "two layers", "NTP"), standard_cases(), strict=True))


def test_rates_are_fitted_with_their_errors() -> None:
    """Runs that fall as the width to -0.7, spread evenly in the logarithm: 95 % of 400 intervals.

    Of 400, 95 % are 380 with a standard deviation of 4.4; the window is four of them.
    """
    rng = np.random.default_rng(0)
    widths = (10, 100, 1000)
    held = 0
    for _ in range(400):
        runs = (
            3.0 * np.array(widths, dtype=float)[:, None] ** -0.7 * np.exp(rng.normal(size=(3, 2)))
        )
        held += fit_rate(widths, runs).agreement_with(-0.7) != "disagrees"
    assert abs(held - 380) < 18
    exact = fit_rate(widths, np.repeat(3.0 * np.array(widths)[:, None] ** -0.7, 2, axis=1))
    assert exact.slope.value == pytest.approx(-0.7, abs=1e-12)
    assert exact.size_at_one == pytest.approx(3.0, abs=1e-12)
    assert all(a > b for a, b in pairwise(exact.sizes))


@pytest.mark.parametrize(
    ("widths", "seeds", "said"),
    [
        ((64,), 4, "at least two numbers above 0, ascending; got 64"),
        ((), 4, "got none"),
        ((64, 64), 4, "got 64, 64"),
        ((0, 64), 4, "got 0, 64"),
        ((8, 64), 1, "at least 2 seeds; got 1"),
    ],
)
def test_widths_and_seeds_without_a_rate_are_refused(widths: Any, seeds: int, said: str) -> None:
    with pytest.raises(LimitError, match=said):
        converge(STANDARD["linear"], widths=widths, seeds=seeds)


def test_no_rate_is_fitted_to_nothing() -> None:
    with pytest.raises(LimitError, match="some network did not move at all"):
        fit_rate((8, 16), np.array([[1.0, 0.0], [1.0, 1.0]]))
    with pytest.raises(LimitError, match="got 'gelu'"):
        activation("gelu")
