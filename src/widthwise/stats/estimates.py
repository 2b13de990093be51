"""A number with its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ..errors import RunError

RESAMPLES = 2000  # the error's own error is then 1 / sqrt(2 x 2000) = 1.6 % of it


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured number.

    Attributes:
        value: The number.
        standard_error: Its standard error, same unit; None where it is unknown (a single value).
        n: How many values stand behind it.
    """

    value: float
    standard_error: float | None
    n: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Normal interval, value ± z · standard error; the whole line if the error is unknown.

        Example:
            >>> low, high = Estimate(value=0.5, standard_error=0.1, n=25).interval()
            >>> round(low, 3), round(high, 3)
            (0.304, 0.696)
        """
        if self.standard_error is None:
            return float("-inf"), float("inf")
        half = NormalDist().inv_cdf((1 + confidence) / 2) * self.standard_error
        return self.value - half, self.value + half


@dataclass(frozen=True, kw_only=True)
class Mean(Estimate):
    """A mean of few values, such as seeds."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """As `mean_with_error`."""
        found = mean_with_error(values)
        return cls(value=found.value, standard_error=found.standard_error, n=found.n)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's, with n - 1 degrees of freedom.

        Example:
            >>> low, high = Mean.of([0.4, 0.5, 0.6]).interval()
            >>> round(low, 3), round(high, 3)
            (0.252, 0.748)
        """
        from scipy.stats import t

        if self.standard_error is None:
            return float("-inf"), float("inf")
        half = float(t.ppf((1 + confidence) / 2, self.n - 1)) * self.standard_error
        return self.value - half, self.value + half


_LARGEST_LOG = 700.0  # whose exponential is still a number


@dataclass(frozen=True, kw_only=True)
class Positive(Estimate):
    """A number above 0 that may be any multiple of another, as a perplexity."""

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Normal interval of the logarithm, whose error is that of the number over the number.

        Example:
            >>> low, high = Positive(value=100.0, standard_error=60.0, n=9).interval()
            >>> round(low, 1), round(high, 1)
            (30.9, 324.1)
        """
        if self.standard_error is None:
            return 0.0, float("inf")
        half = NormalDist().inv_cdf((1 + confidence) / 2) * self.standard_error / self.value
        if half > _LARGEST_LOG:
            return 0.0, float("inf")
        return self.value * math.exp(-half), self.value * math.exp(half)


@dataclass(frozen=True, kw_only=True)
class Ratio(Estimate):
    """A ratio of two numbers above 0.

    Attributes:
        log_error: Standard error of its logarithm; None where it is unknown.
    """

    log_error: float | None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's interval of the logarithm: never below 0, and the inverse ratio says the same.

        With n - 1 degrees of freedom: of 5 rounds with normal noise, the bootstrap's error and a
        normal quantile would hold the true median in 92 % of runs instead of 95 %; so it is 97 %.

        Example:
            >>> low, high = Ratio(value=2.0, standard_error=0.2, log_error=0.1, n=5).interval()
            >>> round(low, 3), round(high, 3)
            (1.515, 2.64)
        """
        from scipy.stats import t

        if self.log_error is None:
            return 0.0, float("inf")
        half = float(t.ppf((1 + confidence) / 2, self.n - 1)) * self.log_error
        return self.value * math.exp(-half), self.value * math.exp(half)


def mean_with_error(values: Sequence[float]) -> Estimate:
    """Mean of independent values with the standard error s / √n, s with n - 1 degrees of freedom.

    Raises:
        RunError: No values.

    Example:
        >>> mean_with_error([1.0, 3.0])
        Estimate(value=2.0, standard_error=1.0, n=2)
    """
    import numpy as np

    n = len(values)
    if n == 0:
        raise RunError("a mean needs at least one value; got none")
    data = np.asarray(values, dtype=np.float64)
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

    n = len(values)
    if n == 0:
        raise RunError("a median needs at least one value; got none")
    data = np.asarray(values, dtype=np.float64)
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
        own = numerator.standard_error / denominator.value
        carried = ratio * denominator.standard_error / denominator.value
        error = (own**2 + carried**2) ** 0.5
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
        denominator: Those of the other, in the same rounds.
        seed: Of the bootstrap.

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
