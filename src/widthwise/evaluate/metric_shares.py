"""A metric of lm-eval over items, and the share that each item has in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

_JACKKNIFE = 2000  # items at most, where a metric must be computed again without each of them
_PER_WEIGHT = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def aggregated(aggregate: Callable[[Sequence[Any]], float], values: Sequence[Any]) -> float:
    """lm-eval's aggregate; infinite where its exponential is too large for a number."""
    try:
        return float(aggregate(values))
    except OverflowError:
        return math.inf


def pseudovalues(
    metric: str, values: Sequence[Any], value: float, aggregate: Callable[[Sequence[Any]], float]
) -> list[float]:
    """Each item's share in the aggregate, whose mean is the aggregate, or close to it.

    A mean is shared out as it is. Perplexities and bits a byte are functions of ratios of two sums
    over items, R = sum a / sum w, and the share is the linearized one, f(R) + f'(R) (a - R w) /
    mean w (delta method; for the ratio itself Cochran, Sampling Techniques, 3rd ed., eq. 6.13).
    Where weights differ, a - R w is divided by the weight that the others have of all, as by the
    jackknife, and centred: of 8 texts of unequal lengths the error is else too small by a seventh.
    Any other aggregate of few items is shared out by the jackknife, n f - (n - 1) f without it.
    """
    n = len(values)
    if metric in _PER_WEIGHT or metric == "perplexity":
        pairs = [value if isinstance(value, tuple) else (value, 1) for value in values]
        whole = math.fsum(w for _, w in pairs)
        ratio = -math.fsum(ll for ll, _ in pairs) / whole
        slope = n / whole / (math.log(2) if metric == "bits_per_byte" else 1 / value)
        rests = [-ll - ratio * w for ll, w in pairs]
        if metric in _PER_WEIGHT:  # what R takes of each item's own deviation is given back
            rests = [
                rest * whole / (whole - w) if w < whole else 0.0
                for rest, (_, w) in zip(rests, pairs, strict=True)
            ]
            middle = math.fsum(rests) / n
            rests = [rest - middle for rest in rests]
        return [value + slope * rest for rest in rests]
    if all(isinstance(item, SupportsFloat) for item in values):
        mean = math.fsum(map(float, values)) / n
        if math.isclose(mean, value, rel_tol=1e-9, abs_tol=1e-12):
            return [float(item) for item in values]
    if not 2 < n <= _JACKKNIFE:
        return []
    without = (float(aggregate([*values[:i], *values[i + 1 :]])) for i in range(n))
    return [n * value - (n - 1) * other for other in without]


def standard_error_of(shares: Sequence[float]) -> float | None:
    """Standard error of the mean: standard deviation / sqrt(n); None where it is unknown."""
    n = len(shares)
    if n < 2:
        return None
    mean = math.fsum(shares) / n
    spread = math.hypot(*(share - mean for share in shares))  # no square that is too large
    return spread / math.sqrt((n - 1) * n)
