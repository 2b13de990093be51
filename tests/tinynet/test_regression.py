"""Curves by Gaussian processes and their intervals."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from widthwise.errors import RunError
from widthwise.tinynet import (
    PUBLISHED,
    Formula,
)
from widthwise.tinynet.regression import FIXED_LENGTH, FIXED_NOISE, FittedCurve

TINYNETS = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def published() -> Formula:
    return Formula.from_published()


def by_hand(shares: list[float], values: list[float], at: float) -> tuple[float, float]:
    """Mean and deviation of the Gaussian process with the fixed kernel, by its formula."""
    x, y = np.array(shares), np.array(values)
    centre, spread = y.mean(), y.std()

    def kernel(one: Any, other: Any) -> Any:
        return np.exp(-((one[:, None] - other[None]) ** 2) / (2 * FIXED_LENGTH**2))

    inverse = np.linalg.inv(kernel(x, x) + FIXED_NOISE * np.eye(len(x)))
    near = kernel(np.array([at]), x)[0]
    mean = centre + spread * near @ inverse @ ((y - centre) / spread)
    return float(mean), float(spread * np.sqrt(1 + FIXED_NOISE - near @ inverse @ near))


@pytest.mark.parametrize("name", ["resolution", "depth"])
def test_curves_are_those_of_the_formula(published: Formula, name: str) -> None:
    """Means, and deviations that are widened by networks left out."""
    curve: FittedCurve = getattr(published, name)
    shares, values = list(curve.shares), list(curve.values)
    assert values == [getattr(PUBLISHED[one].scale, name) for one in TINYNETS]
    errors = []
    for i in range(5):
        rest = [j for j in range(5) if j != i]
        mean, deviation = by_hand([shares[j] for j in rest], [values[j] for j in rest], shares[i])
        assert curve.left_out[i] == pytest.approx(mean, rel=1e-6)  # another way to the inverse
        errors.append((values[i] - mean) / deviation)
    widening = float(np.sqrt(np.mean(np.square(errors))))
    assert curve.widening == pytest.approx(max(1.0, widening), rel=1e-5)
    for share in (0.02, 0.13, 0.6, 1.0):
        mean, deviation = by_hand(shares, values, share)
        assert curve(share).value == pytest.approx(mean, rel=1e-6)
        assert curve(share).deviation == pytest.approx(curve.widening * deviation, rel=1e-5)


def test_intervals_hold_the_released_networks_when_left_out(published: Formula) -> None:
    """Without widening, three of five resolutions would lie outside."""
    for name, least in (("resolution", 3), ("depth", 0)):
        curve: FittedCurve = getattr(published, name)
        outside = {True: 0, False: 0}
        for i in range(5):
            rest = [j for j in range(5) if j != i]
            _, deviation = by_hand(
                [curve.shares[j] for j in rest], [curve.values[j] for j in rest], curve.shares[i]
            )
            one = replace(curve(0.5), value=curve.left_out[i], deviation=deviation)
            for is_widened in (False, True):
                wide = replace(one, deviation=deviation * (curve.widening if is_widened else 1))
                low, high = wide.interval()
                outside[is_widened] += not low <= curve.values[i] <= high
        assert outside[True] == 0
        assert outside[False] >= least


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(RunError, match=r"pip install 'widthwise\[tinynet\]'"):
        Formula.from_published()
