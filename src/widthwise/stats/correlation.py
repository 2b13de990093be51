"""Correlation of two rows of numbers, how little a few points say about it, and which is larger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from statistics import NormalDist
from typing import TYPE_CHECKING

from ..errors import RunError
from .difference import Difference

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64
    from numpy.typing import NDArray

FEW = 10  # points below which a correlation comes with a warning
RESAMPLES = 2000
_PERFECT = 1 - 1e-12  # up to rounding
ALL_ORDERS = 8  # points of which all 40,320 orders are looked at


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Pearson's and Spearman's correlation of paired numbers.

    Attributes:
        n: Points.
        pearson: r, in [-1, 1]; None where one of the rows is constant.
        p_value: Two-sided, of r by Student's t: it takes the points as independent draws of two
            normal variables; None with r, and with 2 points.
        low: Lower end of Fisher's interval of r; -1 where there are too few points for one.
        high: Upper end; 1 where there are too few points.
        confidence: Confidence of the interval.
        spearman: r of the ranks; None with r.
        spearman_p_value: Exact over all orders of up to `ALL_ORDERS` points, Student's t beyond.
        without_one: Smallest and largest r when each point in turn is left out; None where a row
            then is constant, or fewer than 3 points are left.
        warning: A reader's first caution; empty from `FEW` points on.
    """

    n: int
    pearson: float | None
    p_value: float | None
    low: float
    high: float
    confidence: float
    spearman: float | None
    spearman_p_value: float | None
    without_one: tuple[float, float] | None
    warning: str


def correlation(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Correlation:
    """Pearson's r and Spearman's of two rows, with what a handful of points leaves open.

    The interval is Fisher's, tanh(atanh r ± z / √(n - 3)): of 4 points it is nearly everything,
    and of 3 or fewer it is [-1, 1], whatever r is. A perfect r is not certain: its interval begins
    as that of `almost_perfect`, and its p is that of ranks, 2 / n!. It knows nothing of
    points that are not independent: two scores that both fall as one thing is changed step by step
    correlate by that.

    Args:
        first: Finite numbers.
        second: As many, in the same order.
        confidence: Confidence of the interval, in (0, 1).

    Raises:
        RunError: Lengths that differ, fewer than 2 points, values that are not finite.

    Source: Fisher 1921, "On the 'probable error' of a coefficient of correlation".

    Example:
        >>> result = correlation([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5])
        >>> round(result.pearson, 3), round(result.low, 2), round(result.high, 2)
        (0.829, 0.05, 0.98)
        >>> result.warning
        '6 points only: a correlation of fewer than 10 says little'
    """
    import numpy as np
    from scipy.stats import rankdata

    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    n = len(a)
    if n != len(b) or n < 2:
        raise RunError(f"a correlation needs two rows of 2 or more; got {n} and {len(b)}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise RunError("the numbers of a correlation must be finite; got NaN or infinity")
    pearson = _pearson(a, b)
    low, high = _fisher(pearson, n, confidence)
    spearman = None if pearson is None else _pearson(rankdata(a), rankdata(b))
    leave_one_out = [_pearson(np.delete(a, i), np.delete(b, i)) for i in range(n)] if n > 3 else []
    known = [r for r in leave_one_out if r is not None]
    return Correlation(
        n=n,
        pearson=pearson,
        p_value=_student(pearson, n),
        low=low,
        high=high,
        confidence=confidence,
        spearman=spearman,
        spearman_p_value=_rank_p_value(a, b, spearman),
        without_one=(min(known), max(known)) if known and len(known) == n else None,
        warning=f"{n} points only: a correlation of fewer than {FEW} says little" * (n < FEW),
    )


def correlation_lead(
    first: Float64[np.ndarray, "points items"],
    second: Float64[np.ndarray, "points more_items"],
    target: Float64[np.ndarray, "points other_items"],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """r of the first scores with the target less r of the second, where a score is a mean of items.

    The interval is the percentile bootstrap over the items of each, which are taken as drawn apart;
    the points stay as they are. r counts as 0 where a row does not vary.

    Args:
        first, second, target: Items of each point, the same points in the same order.
        confidence: Confidence of the interval, in (0, 1).
        seed: Seed of the resampling; the same seed gives the same result.

    Returns:
        The lead, of as many points as there are; its p-value is the bootstrap's.

    Cost: `RESAMPLES` times the items.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    rows = (first, second, target)
    drawn = [_resampled(row, chance) for row in rows]
    leads = _many_pearson(drawn[0], drawn[2]) - _many_pearson(drawn[1], drawn[2])
    means = [row.mean(axis=1)[None] for row in rows]
    value = float((_many_pearson(means[0], means[2]) - _many_pearson(means[1], means[2]))[0])
    tail = (1 - confidence) / 2
    low, high = np.quantile(leads, [tail, 1 - tail])
    beyond = min((leads <= 0).mean(), (leads >= 0).mean())
    return Difference(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        n=len(first),
        p_value=min(1.0, (2 * float(beyond) * len(leads) + 1) / (len(leads) + 1)),
    )


def _resampled(
    items: Float64[np.ndarray, "points items"], chance: np.random.Generator
) -> Float64[np.ndarray, "draws points"]:
    """Scores of all points on `RESAMPLES` draws of their items."""
    import numpy as np

    n = items.shape[1]
    weights = chance.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    scores: NDArray[np.float64] = weights @ items.T
    return scores


def _many_pearson(
    a: Float64[np.ndarray, "draws points"], b: Float64[np.ndarray, "draws points"]
) -> Float64[np.ndarray, " draws"]:
    """r of each draw; 0 where a row does not vary."""
    import numpy as np

    x, y = (row - row.mean(axis=1, keepdims=True) for row in (a, b))
    spread = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    r: NDArray[np.float64] = (x * y).sum(axis=1) / np.where(spread == 0, 1.0, spread)
    return r


def _pearson(a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " n"]) -> float | None:
    """r, or None where a row does not vary."""
    if a.min() == a.max() or b.min() == b.max():
        return None
    x, y = a - a.mean(), b - b.mean()
    x, y = x / abs(x).max(), y / abs(y).max()  # squares of perplexities may be too large
    return max(-1.0, min(1.0, float(x @ y / math.sqrt((x @ x) * (y @ y)))))


def _fisher(r: float | None, n: int, confidence: float) -> tuple[float, float]:
    if not 0 < confidence < 1:
        raise RunError(f"a confidence must be in (0, 1); got {confidence}")
    if r is None or n <= 3:
        return -1.0, 1.0
    half = NormalDist().inv_cdf((1 + confidence) / 2) / math.sqrt(n - 3)
    if abs(r) >= _PERFECT:  # rounded numbers, or ranks, may fall into line: not certain
        end = math.tanh(math.atanh(almost_perfect(n)) - half)
        return (end, 1.0) if r > 0 else (-1.0, -end)
    return math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def almost_perfect(n: int) -> float:
    """The rank correlation half way from that of n points in order to the next smaller one.

    In place of 1, whose interval by Fisher would be a point, however few points are in order.

    >>> round(almost_perfect(4), 3), round(almost_perfect(8), 3)
    (0.9, 0.988)
    """
    return 1 - 6 / (n * (n * n - 1))


def _student(r: float | None, n: int) -> float | None:
    """Two-sided p of r by t with n - 2 degrees of freedom."""
    from scipy.stats import t

    if r is None or n < 3:
        return None
    if abs(r) >= _PERFECT:  # as the exact p of ranks: one order of n!, and its reverse
        return 2 / math.factorial(n)
    return float(2 * t.sf(abs(r) * math.sqrt((n - 2) / (1 - r * r)), n - 2))


@cache
def _orders(n: int) -> NDArray[np.int64]:
    """All orders of n places, shape (n!, n)."""
    import numpy as np

    return np.array(list(permutations(range(n))), dtype=np.int64)


def _rank_p_value(
    a: NDArray[np.float64], b: NDArray[np.float64], rho: float | None
) -> float | None:
    """Share of the second row's orders that rank as far from 0; Student's for many points."""
    from scipy.stats import rankdata

    if rho is None or len(a) > ALL_ORDERS:
        return _student(rho, len(a))
    first, second = rankdata(a), rankdata(b)
    sums = second[_orders(len(a))] @ first
    middle = first.sum() * second.mean()
    bound = abs(first @ second - middle) * (1 - 1e-12)  # half ranks: sums are exact to rounding
    return float((abs(sums - middle) >= bound).mean())
