"""A number with its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import RunError
from .intervals import share_interval, t_interval

RESAMPLES = 2000  # the error's own error is then 1 / sqrt(2 x 2000) = 1.6 % of it


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured number.

    Attributes:
        value: The number.
        standard_error: Its standard error, same unit; None where it is unknown (a single value).
        n: Number of values behind it.
    """

    value: float
    standard_error: float | None
    n: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's, with n - 1 degrees of freedom; the whole line if the error is unknown.

        Example:
            >>> low, high = mean_with_error([0.4, 0.5, 0.6]).interval()
            >>> round(low, 3), round(high, 3)
            (0.252, 0.748)
        """
        return t_interval(self.value, self.standard_error, self.n - 1, confidence)


@dataclass(frozen=True, kw_only=True)
class Share(Estimate):
    """A share of right answers, or another mean of values in [0, 1]."""

    @property
    def is_binary(self) -> bool:
        """Whether every value is 0 or 1: no other values with this mean vary so much."""
        if self.standard_error is None:
            return self.n == 1 and self.value in (0.0, 1.0)
        most = self.value * (1 - self.value)
        return self.standard_error**2 * self.n >= most * (1 - _ROUNDING)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """`share_interval` of 0/1 values; of others Student's, as far as it is within [0, 1].

        Others that are all the same have that of a share, which is wide.

        Example:
            >>> low, high = Share(value=0.0, standard_error=0.0, n=4).interval()
            >>> round(low, 3), round(high, 3)
            (0.0, 0.602)
        """
        if self.is_binary or self.standard_error == 0:
            return share_interval(self.value, self.n, confidence)
        low, high = t_interval(self.value, self.standard_error, self.n - 1, confidence)
        return max(0.0, low), min(1.0, high)


_ROUNDING = 1e-6  # of an error: that of a published one is of n items, in place of n - 1
LARGEST_LOG = 700.0  # whose exponential is still a number


@dataclass(frozen=True, kw_only=True)
class Positive(Estimate):
    """A number above 0 that may be any multiple of another, as a perplexity."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's of the logarithm, whose error is that of the number over the number.

        From 0 to infinity where the number is not above 0, or its error is unknown.

        Example:
            >>> low, high = Positive(value=100.0, standard_error=60.0, n=9).interval()
            >>> round(low, 1), round(high, 1)
            (25.1, 398.9)
        """
        if self.standard_error is None or self.value <= 0:
            return 0.0, math.inf
        return _as_factors(self.value, self.standard_error / self.value, self.n, confidence)


@dataclass(frozen=True, kw_only=True)
class Ratio(Estimate):
    """A ratio of two numbers above 0."""

    log_error: float | None  # standard error of its logarithm; None where it is unknown

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's interval of the logarithm: never below 0, and the inverse ratio says the same.

        With n - 1 degrees of freedom: of 5 rounds with normal noise, the bootstrap's error and a
        normal quantile would hold the true median in 92 % of runs instead of 95 %; so it is 97 %.

        Example:
            >>> low, high = Ratio(value=2.0, standard_error=0.2, log_error=0.1, n=5).interval()
            >>> round(low, 3), round(high, 3)
            (1.515, 2.64)
        """
        return _as_factors(self.value, self.log_error, self.n, confidence)


def _as_factors(
    value: float, log_error: float | None, n: int, confidence: float
) -> tuple[float, float]:
    """Student's interval of the logarithm of a number, as that of the number."""
    _, half = t_interval(0.0, log_error, n - 1, confidence)
    if half > LARGEST_LOG:
        return 0.0, math.inf
    return value * math.exp(-half), value * math.exp(half)


def mean_with_error(values: Sequence[float]) -> Estimate:
    """Mean of independent values with the standard error s / √n, s with n - 1 degrees of freedom.

    Raises:
        RunError: No values.

    Example:
        >>> mean_with_error([1.0, 3.0])
        Estimate(value=2.0, standard_error=1.0, n=2)
    """
    import numpy as np

    if len(values) == 0:
        raise RunError("a mean needs at least one value; got none")
    n, data = len(values), np.asarray(values, dtype=np.float64)
    error = float(data.std(ddof=1)) / n**0.5 if n > 1 else None
    return Estimate(value=float(data.mean()), standard_error=error, n=n)


def median_with_error(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """Median, with the standard deviation of its bootstrap as its error (Efron 1979).

    Raises:
        RunError: No values.

    Example:
        >>> median_with_error([2.0, 2.0, 2.0])
        Estimate(value=2.0, standard_error=0.0, n=3)
    """
    import numpy as np

    if len(values) == 0:
        raise RunError("a median needs at least one value; got none")
    n, data = len(values), np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
    error = float(np.median(data[drawn], axis=1).std()) if n > 1 else None
    return Estimate(value=float(np.median(data)), standard_error=error, n=n)


def ratio_with_error(numerator: Estimate, denominator: Estimate) -> Estimate:
    """Ratio of two independent estimates; relative errors add in squares (delta method).

    Returns:
        The ratio, with n the smaller of the two; its error is unknown if either one is.

    Raises:
        RunError: The denominator is zero.
    """
    if denominator.value == 0:
        raise RunError("a ratio to zero has no value; its denominator must not be 0")
    ratio = numerator.value / denominator.value
    error = None
    if numerator.standard_error is not None and denominator.standard_error is not None:
        from_numerator = numerator.standard_error / denominator.value
        from_denominator = ratio * denominator.standard_error / denominator.value
        error = (from_numerator**2 + from_denominator**2) ** 0.5
    return Estimate(value=ratio, standard_error=error, n=min(numerator.n, denominator.n))


def paired_ratio(
    numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0
) -> Ratio:
    """Median of the ratios of measurements made in the same round.

    What slows a whole machine for some rounds slows both, and cancels; a ratio of two medians would
    keep it. Errors are standard deviations of the bootstrap over rounds, of the median ratio and of
    the median of its logarithm.

    Args:
        numerator: One value a round, above 0.
        denominator: Values of the other, in the same rounds.
        seed: Seed of the bootstrap.

    Raises:
        RunError: The lengths differ, there is no round, or a value is not above 0.
    """
    import numpy as np

    values = [*numerator, *denominator]
    if len(numerator) != len(denominator) or not numerator or not all(v > 0 for v in values):
        raise RunError(
            f"a paired ratio needs the same rounds of both, all above 0; "
            f"got {len(numerator)} and {len(denominator)}"
        )
    ratios = np.asarray(numerator, dtype=np.float64) / np.asarray(denominator, dtype=np.float64)
    median = median_with_error(ratios.tolist(), seed=seed)
    logs = median_with_error(np.log(ratios).tolist(), seed=seed)
    return Ratio(
        value=median.value,
        standard_error=median.standard_error,
        n=median.n,
        log_error=logs.standard_error,
    )
