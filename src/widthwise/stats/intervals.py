"""The intervals that all numbers have: Student's, those of shares, and those of paired shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist

from ..errors import RunError

_LEAST_LOG = -1e-9  # of a p-value: 1, less what a confidence above 0 needs
_NO_SKEW = 1e-6  # below which its transformation is none, up to rounding
_SMALLEST_LOG = math.log(1e-15)  # smaller ones are not told apart from it
FEW = 8  # values below which an interval must not rest on resampling or on a normal share


@lru_cache(maxsize=2**12)
def t_quantile(tail: float, freedom: float) -> float:
    """Student's quantile that is exceeded with the chance `tail`; infinite without a degree."""
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, tail)) if freedom > 0 else math.inf


def t_interval(
    value: float, error: float | None, freedom: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Student's interval of a number; the whole line where its error is not known.

    Args:
        value: The number.
        error: Its standard error, or None.
        freedom: Degrees of freedom of the error; below 1 nothing is known of it.
        confidence: Share of such intervals that hold the truth, in (0, 1).

    Example:
        >>> low, high = t_interval(0.5, 0.1, 24)
        >>> round(low, 3), round(high, 3)
        (0.294, 0.706)
    """
    if error is None or freedom <= 0:
        return -math.inf, math.inf
    half = t_quantile((1 - confidence) / 2, freedom) * error
    return value - half, value + half


def skewed_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """An interval of the mean of values that may be skewed, as losses are.

    Student's with the transformation by which Hall (1992, Journal of the Royal Statistical Society
    B 54) takes the skewness out, so that each end is wrong about equally often. The whole line
    below 8 values, which do not tell their skewness.

    Example:
        >>> low, high = skewed_interval([1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.4, 4.0])
        >>> round(low, 2), round(high, 2)
        (1.22, 4.77)
    """
    import numpy as np
    from scipy.stats import skew as scipy_skew

    x = np.asarray(values, dtype=np.float64)
    if len(x) < FEW:
        return -math.inf, math.inf
    mean, spread = float(x.mean()), float(x.std(ddof=1))
    if spread == 0:
        return mean, mean
    skew = float(scipy_skew(x, bias=False))
    reach = t_quantile((1 - confidence) / 2, len(x) - 1) / math.sqrt(len(x))

    def place(at: float) -> float:
        """Where the mean less the truth is, in spreads, by its symmetric place."""
        if abs(skew) < _NO_SKEW:
            return at
        return 3 / skew * (float(np.cbrt(1 + skew * (at - skew / (6 * len(x))))) - 1)

    return mean - spread * place(reach), mean - spread * place(-reach)


def t_p_value(value: float, error: float, freedom: float) -> float:
    """Two-sided p-value of a number for "it is 0", by the distribution of `t_interval`.

    Example:
        >>> round(t_p_value(0.206, 0.1, 24), 2)
        0.05
    """
    from scipy.special import stdtr

    if error == 0 or freedom <= 0:
        return float(value == 0 or freedom <= 0)
    return float(min(1.0, 2 * stdtr(freedom, -abs(value) / error)))


def touching_p(half_width: Callable[[float], float], distance: float) -> float:
    """The p-value that an interval has: 1 - confidence of the one whose end just touches 0.

    Args:
        half_width: Confidence in (0, 1) to the distance of the interval's end from its value, on
            the side of 0; it grows with the confidence.
        distance: Distance of the value from 0.

    Example:
        >>> round(touching_p(lambda confidence: t_interval(0, 0.1, 24, confidence)[1], 0.206), 3)
        0.05
    """
    from scipy.optimize import brentq

    def surplus(log_p: float) -> float:
        return half_width(-math.expm1(log_p)) - distance

    if not distance > 0 or surplus(_LEAST_LOG) >= 0:
        return 1.0
    if surplus(_SMALLEST_LOG) <= 0:
        return math.exp(_SMALLEST_LOG)
    return math.exp(brentq(surplus, _SMALLEST_LOG, _LEAST_LOG, xtol=1e-9))


def share_interval(share: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for the chance behind a share of n 0/1 items.

    Clopper and Pearson's below 8 items, which holds the truth at least as often as it says, and
    Wilson's from 8 on: averaged over all chances it holds 95.0 to 95.5 % of them at every n. (No
    interval does so at each single chance: n items have only n + 1 shares.) Both lie within
    [0, 1], are never a point, and are higher for a higher share.

    Args:
        share: Share of right items, in [0, 1]; that of n values in [0, 1] which are not all 0 or 1
            varies less, so that its interval is wide.
        n: Items, at least 1.
        confidence: In (0, 1).

    Raises:
        RunError: No items, or a share outside [0, 1].

    Source: Clopper and Pearson 1934, Biometrika 26; Wilson 1927, JASA 22; compared in Brown, Cai
        and DasGupta 2001, "Interval estimation for a binomial proportion", Statistical Science 16.

    Example:
        >>> [tuple(round(end, 3) for end in share_interval(k / 32, 32)) for k in (0, 1)]
        [(0.0, 0.107), (0.006, 0.157)]
        >>> tuple(round(end, 3) for end in share_interval(0, 4))
        (0.0, 0.602)
    """
    if n < 1 or not 0 <= share <= 1:
        raise RunError(f"a share must be in [0, 1], of 1 item or more; got {share} of {n}")
    if n < FEW:
        from scipy.special import betaincinv

        tail, right = (1 - confidence) / 2, share * n
        low = float(betaincinv(right, n - right + 1, tail)) if right > 0 else 0.0
        high = float(betaincinv(right + 1, n - right, 1 - tail)) if right < n else 1.0
        return low, high
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = (middle - half) / scale if share > 0 else 0.0  # exact, where rounding would not be
    return low, (middle + half) / scale if share < 1 else 1.0


def paired_share_interval(
    won: float, lost: float, n: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of (won - lost) / n, of n paired 0/1 items: never a point, right for few that moved.

    Args:
        won: Items that only the first has right.
        lost: Items that only the second has right.
        n: All items, at least 1.
        confidence: In (0, 1).

    Raises:
        RunError: No items, or more won and lost than there are.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
        for the paired-sample design", Statistics in Medicine 17.

    Example:
        >>> low, high = paired_share_interval(0, 0, 200)
        >>> round(low, 4), round(high, 4)
        (-0.0188, 0.0188)
    """
    if n < 1 or won + lost > n + 1e-9 * n:  # sums of shares are exact to rounding
        raise RunError(
            f"paired items must be at least 1 and those that moved; got {won}, {lost} of {n}"
        )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return -_upper_end(lost, won, n, z), _upper_end(won, lost, n, z)


@lru_cache(maxsize=2**14)
def _upper_end(won: float, lost: float, n: int, z: float) -> float:
    """The largest difference that the score test does not reject."""
    from scipy.optimize import brentq

    def surplus(delta: float) -> float:
        """The test's statistic less its bound; it falls as the difference grows."""
        b = -won - lost + (2 * n - won + lost) * delta
        c = -lost * delta * (1 - delta)
        share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # of lost items, likeliest
        variance = n * (2 * share + delta * (1 - delta))
        gap = won - lost - n * delta
        return gap + z * math.sqrt(max(0.0, variance))

    start = (won - lost) / n + 1e-9  # where no item moved, the surplus at 0 itself is 0
    return float(brentq(surplus, start, 1.0)) if start < 1 and surplus(1.0) < 0 else 1.0
