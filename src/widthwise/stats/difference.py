"""Differences between two scores: on the same items, on others, and against random draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from statistics import NormalDist, variance
from typing import TYPE_CHECKING

from ..errors import RunError
from .estimates import Estimate
from .intervals import FEW, paired_share_interval, t_interval, t_quantile, touching_p

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64


_ALL_FLIPS = 12  # items: 4,096 ways to flip their signs are fewer than would be drawn
_DRAWN_AT_ONCE = 2**18  # numbers: 2 MB in float64
_FEW_VALUES = 16  # distinct values, for which counts are drawn faster than items


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of a - b over the items that both were measured on.

    Attributes:
        value: Mean of the differences, in the unit of the items.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Items.
        p_value: Two-sided, for "the sign of each difference is a coin flip"; from
            `sequential_difference` for "the mean of the differences is 0".
    """

    value: float
    low: float
    high: float
    n: int
    p_value: float


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
) -> Difference:
    """Mean of a - b over paired items, with an interval and a sign-flip p-value.

    The interval of 0/1 items is `paired_share_interval`, which is right for few items, and for few
    that moved. That of other values is Student's below 8 items, and from 8 on the *expanded
    percentile* bootstrap over items: quantiles of the resampled means, moved outwards so that for
    normal data they equal Student's t interval (plain percentiles are too narrow by √((n-1)/n) and
    use z for t). Of values in [0, 1] of which fewer than 8 differ, as the mean of a few networks'
    0/1 items, it reaches at least as far as it would for 0/1 items that differ as much.

    It is the whole line of one item, and of fewer than 8 equal differences: they say nothing of how
    far others would be. From 8 equal differences on it is that point.

    For 0/1 items the sign-flip test is McNemar's exact test and is computed as such. Of other
    values, all flips of up to 12 items are looked at; of more, `resamples` are drawn, and the
    p-value is at least 1 / (resamples + 1).

    Args:
        a: One value an item, finite.
        b: The same items in the same order.
        confidence: Confidence of the interval, in (0, 1).
        seed: Seed of the resampling; the same seed gives the same result.
        resamples: Bootstrap samples and sign flips.

    Raises:
        RunError: No items, lengths that differ, or values that are not finite.

    Source: Hesterberg 2015, "What teachers should know about the bootstrap", The American
        Statistician 69(4), section on expanded percentile intervals; McNemar 1947.
    """
    return _compared(tuple(a), tuple(b), confidence, seed, resamples)


@lru_cache(maxsize=2**12)  # a report asks for the same pair in its tables, figures and sentences
def _compared(
    a: tuple[float, ...], b: tuple[float, ...], confidence: float, seed: int, resamples: int
) -> Difference:
    import numpy as np

    if len(a) != len(b):
        raise RunError(f"paired values must have equal lengths; got {len(a)} and {len(b)}")
    if len(a) == 0:
        raise RunError("a paired difference needs at least one item; got none")
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise RunError("paired values must be finite; got NaN or infinity")
    differences = first - second
    rng = np.random.default_rng(seed)
    binary = bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())
    bounded = bool((np.abs(np.stack([first, second]) - 0.5) <= 0.5).all())
    if binary and len(a) > 1:
        low, high = _share_ends(differences, confidence)
    else:
        low, high = _mean_interval(differences, confidence, rng, resamples)
        if bounded and np.count_nonzero(differences) < FEW <= len(a):
            ends = _share_ends(differences, confidence)
            low, high = min(low, ends[0]), max(high, ends[1])
    p_value = _mcnemar(differences) if binary else _sign_flips(differences, rng, resamples)
    value = float(differences.mean())
    return Difference(value=value, low=low, high=high, n=len(a), p_value=p_value)


def unpaired_difference(
    first: Estimate, second: Estimate, *, confidence: float = 0.95
) -> Difference | None:
    """First minus second, taken as independent; None where an error is not known.

    The interval is made from those of both (their distances from the values add in squares), so it
    has their shape: that of two shares is Newcombe's and is never a point. The p-value is 1 -
    confidence of the interval that just touches 0. Scores of the same items are not independent, so
    that it is mostly too wide.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures: a general
        approach", Statistics in Medicine 27; Newcombe 1998, method 10.

    Example:
        >>> from widthwise.stats import Share
        >>> dense, cut = (Share(value=v, standard_error=0.03, n=200) for v in (0.80, 0.75))
        >>> difference = unpaired_difference(cut, dense)
        >>> round(difference.low, 3), round(difference.high, 3), round(difference.p_value, 2)
        (-0.127, 0.035, 0.24)
    """
    if first.standard_error is None or second.standard_error is None:
        return None
    value = first.value - second.value

    def half_widths(level: float) -> tuple[float, float]:
        (low, high), (other_low, other_high) = first.interval(level), second.interval(level)
        below = math.hypot(first.value - low, other_high - second.value)
        return below, math.hypot(high - first.value, second.value - other_low)

    below, above = half_widths(confidence)
    side = 0 if value > 0 else 1
    return Difference(
        value=value,
        low=value - below,
        high=value + above,
        n=min(first.n, second.n),
        p_value=touching_p(lambda level: half_widths(level)[side], abs(value)),
    )


def add_draw_variance(
    difference: Difference,
    draws: Sequence[float],
    *,
    confidence: float = 0.95,
    beside_one_more: bool = False,
) -> Difference:
    """The difference from a mean of draws, with the luck of the draws in interval and p-value.

    Items are one source of chance, the draws another. The half-widths of both, each by Student's
    quantile of its own degrees of freedom, n - 1 and k - 1, are added in squares, which holds its
    promise from two draws on. The p-value is 1 - confidence of the interval that just touches 0.
    Nothing becomes narrower or surer by it.

    A few draws may come out alike, by rounding to whole items or by luck. So the variance of a draw
    is never taken for less than what other items alone would make of it: k / (k + 1) of the
    variance of the difference, which holds the chance of items of one network and 1 / k of that of
    another. What one draw would have been is not known, and its difference stays as it is.

    Args:
        difference: Difference of two scores, one the mean of all draws; holds the items' variance.
        draws: The score of each draw, finite.
        confidence: Confidence with which the interval was made.
        beside_one_more: Whether the mean of all draws stands for one more draw, so that it is asked
            whether the other network is further from the mean than a draw would be.

    Raises:
        RunError: A draw is not finite.

    Example:
        >>> lead = Difference(value=0.3, low=0.2, high=0.4, n=100, p_value=1e-4)
        >>> wide = add_draw_variance(lead, [0.50, 0.58])
        >>> round(wide.low, 3), round(wide.high, 3), round(wide.p_value, 3)
        (-0.218, 0.818, 0.088)
    """
    k, n, value = len(draws), difference.n, difference.value
    if not all(map(math.isfinite, draws)):
        raise RunError(f"the scores of draws must be finite; got {', '.join(map(str, draws))}")
    below, above = value - difference.low, difference.high - value
    if k < 2 or n < 2 or not math.isfinite(below + above):
        return difference
    tail = (1 - confidence) / 2
    items = (below + above) / 2 / t_quantile(tail, n - 1)
    of_a_draw = max(variance(draws), items**2 * k / (k + 1))
    error = math.sqrt(of_a_draw * (1 / k + beside_one_more))
    items_error = (below if value > 0 else above) / t_quantile(tail, n - 1)

    def half_width(level: float) -> float:
        rest = (1 - level) / 2
        return math.hypot(items_error * t_quantile(rest, n - 1), error * t_quantile(rest, k - 1))

    luck = error * t_quantile(tail, k - 1)
    return Difference(
        value=value,
        low=value - math.hypot(below, luck),
        high=value + math.hypot(above, luck),
        n=n,
        p_value=max(difference.p_value, touching_p(half_width, abs(value))),
    )


def _share_ends(differences: Float64[np.ndarray, " n"], confidence: float) -> tuple[float, float]:
    """`paired_share_interval` of differences in [-1, 1]."""
    won, lost = differences.clip(0, 1).sum(), (-differences).clip(0, 1).sum()
    return paired_share_interval(float(won), float(lost), len(differences), confidence)


def _mean_interval(
    differences: Float64[np.ndarray, " n"],
    confidence: float,
    rng: np.random.Generator,
    resamples: int,
) -> tuple[float, float]:
    """Student's interval of fewer than 8 differences, else that of the bootstrap."""
    import numpy as np

    n = len(differences)
    if n < FEW:
        error = float(differences.std(ddof=1)) / n**0.5 if np.ptp(differences) > 0 else None
        return t_interval(float(differences.mean()), error, n - 1, confidence)
    values, counts = np.unique(differences, return_counts=True)
    if len(values) <= _FEW_VALUES:  # draw how often each distinct value comes up
        means = rng.multinomial(n, counts / n, size=resamples) @ values / n
    else:
        means = np.concatenate(
            [
                differences[rng.integers(0, n, (rows, n), dtype=np.int32)].mean(axis=1)
                for rows in _in_parts(resamples, n)
            ]
        )
    z = t_quantile((1 - confidence) / 2, n - 1) * (n / (n - 1)) ** 0.5
    tail = NormalDist().cdf(-z)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _mcnemar(differences: Float64[np.ndarray, " n"]) -> float:
    """Exact two-sided p-value: of the discordant items, is the share of +1 one half?"""
    from scipy.stats import binomtest

    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    if wins + losses == 0:
        return 1.0
    return float(binomtest(wins, wins + losses, 0.5).pvalue)


def _sign_flips(
    differences: Float64[np.ndarray, " n"], rng: np.random.Generator, resamples: int
) -> float:
    import numpy as np

    total = differences.sum()
    bound = abs(total) * (1 - 1e-12)  # a flip of no sign may round differently than the sum
    if len(differences) <= _ALL_FLIPS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(differences))))
        return float((abs(signs @ differences) >= bound).mean())
    hits = 0
    for rows in _in_parts(resamples, len(differences)):
        flipped = rng.integers(0, 2, (rows, len(differences)), dtype=np.int8) @ differences
        hits += int((abs(total - 2 * flipped) >= bound).sum())
    return float((1 + hits) / (1 + resamples))


def _in_parts(resamples: int, n: int) -> list[int]:
    """Numbers of resamples of n items that are drawn at a time, so that they stay in cache."""
    rows = max(1, _DRAWN_AT_ONCE // n)
    return [min(rows, resamples - start) for start in range(0, resamples, rows)]
