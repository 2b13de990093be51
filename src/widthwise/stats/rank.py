"""Rank correlation of two rows of numbers, also with others held fixed, and which is larger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from ..errors import RunError
from .correlation import RESAMPLES, almost_perfect

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float64
    from numpy.typing import NDArray

_FLAT = 1e-9  # of ranks: a deviation that rounding alone may leave


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's correlation, marginal or partial."""

    value: float | None  # in [-1, 1]; None where a row does not vary once the others are held fixed
    low: float  # lower end of its interval; -1 without a value or with too few points
    high: float  # upper end
    n: int  # points
    fixed: int  # number of rows that were held fixed


@dataclass(frozen=True, kw_only=True)
class RankDifference:
    """Difference of two rows' rank correlations with a target."""

    value: float | None  # rho of the first less rho of the second; None without one of them
    low: float  # lower end of the bootstrap's interval over points; -2 without a value
    high: float  # upper end; 2 without a value
    n: int  # points


def rank_correlation(
    first: Sequence[float],
    second: Sequence[float],
    *,
    fixed: Sequence[Sequence[float]] = (),
    confidence: float = 0.95,
) -> RankCorrelation:
    """Spearman's rho of two rows; with others fixed, that of what their ranks leave unexplained.

    A partial rho is Pearson's r of the residuals of both rows' ranks, after a linear fit to the
    ranks of the rows that are held fixed. The interval is Fisher's with the variance of ranks,
    (1 + rho²/2) / (n - 3 - k).

    Args:
        first: Finite numbers.
        second: As many, in the same order.
        fixed: k rows to hold fixed, each as long.
        confidence: Confidence of the interval, in (0, 1).

    Raises:
        RunError: Lengths that differ, fewer than 3 points, or numbers that are not finite.

    Source: Bonett and Wright 2000, "Sample size requirements for estimating Pearson, Kendall and
        Spearman correlations", for the variance of rho.

    Example:
        >>> result = rank_correlation([1, 2, 3, 4, 5, 6, 7], [1, 3, 2, 4, 6, 5, 7])
        >>> round(result.value, 3), round(result.low, 2), round(result.high, 2)
        (0.929, 0.44, 0.99)
    """
    if not 0 < confidence < 1:
        raise RunError(f"a confidence must be in (0, 1); got {confidence}")
    rows = _rows(first, second, *fixed)
    n, k = rows.shape[1], len(fixed)
    value = _rho(rows[0], rows[1], rows[2:])
    low, high = -1.0, 1.0
    if value is not None and n - 3 - k > 0:
        most = almost_perfect(n - k)  # ranks in order are not certain
        inside = max(-most, min(most, value))
        half = NormalDist().inv_cdf((1 + confidence) / 2)
        half *= math.sqrt((1 + value * value / 2) / (n - 3 - k))
        low, high = math.tanh(math.atanh(inside) - half), math.tanh(math.atanh(inside) + half)
        low, high = min(low, value), max(high, value)
    return RankCorrelation(value=value, low=low, high=high, n=n, fixed=k)


def rank_lead(
    first: Sequence[float],
    second: Sequence[float],
    target: Sequence[float],
    *,
    fixed: Sequence[Sequence[float]] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> RankDifference:
    """rho of the first row with the target less that of the second, the same points behind both.

    The interval is the percentile bootstrap over points: the two correlations share their target,
    so that their own intervals say too little of their difference.

    Arguments and errors are those of `rank_correlation`; `seed` is the bootstrap's.

    Cost: 2 `RESAMPLES` rank correlations.
    """
    import numpy as np

    rows = _rows(first, second, target, *fixed)
    n = rows.shape[1]
    rhos = [_rho(row, rows[2], rows[3:]) for row in rows[:2]]
    value = None if rhos[0] is None or rhos[1] is None else rhos[0] - rhos[1]
    unknown = RankDifference(value=value, low=-2.0, high=2.0, n=n)
    if value is None:
        return unknown
    chance = np.random.default_rng(seed)
    drawn = rows[:, chance.integers(0, n, (RESAMPLES, n))]
    leads = _rhos(drawn[0], drawn[2], drawn[3:]) - _rhos(drawn[1], drawn[2], drawn[3:])
    leads = leads[np.isfinite(leads)]
    if len(leads) < RESAMPLES / 2:  # of a few points most draws do not vary
        return unknown
    low, high = np.quantile(leads, [(1 - confidence) / 2, (1 + confidence) / 2])
    return RankDifference(value=value, low=float(low), high=float(high), n=n)


def _rows(*rows: Sequence[float]) -> Float64[np.ndarray, "rows points"]:
    """All rows as one array, one a line."""
    import numpy as np

    lengths = {len(row) for row in rows}
    if len(lengths) > 1 or min(lengths) < 3:
        raise RunError(f"a rank correlation needs rows of 3 or more; got {sorted(lengths)}")
    data = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(data).all():
        raise RunError("the numbers of a rank correlation must be finite; got NaN or infinity")
    return data


def _rho(
    first: Float64[np.ndarray, " n"],
    second: Float64[np.ndarray, " n"],
    fixed: Float64[np.ndarray, "k n"],
) -> float | None:
    """Partial rank correlation; None where nothing is left to vary."""
    value = float(_rhos(first[None], second[None], fixed[:, None])[0])
    return None if math.isnan(value) else value


def _rhos(
    first: Float64[np.ndarray, "samples points"],
    second: Float64[np.ndarray, "samples points"],
    fixed: Float64[np.ndarray, "k samples points"],
) -> Float64[np.ndarray, " samples"]:
    """Partial rank correlations of many samples; NaN where nothing is left to vary.

    The two rows have shape (samples, points), the fixed ones (k, samples, points).
    """
    import numpy as np
    from scipy.stats import rankdata

    n = first.shape[1]
    ranks = [rankdata(row, axis=-1) - (n + 1) / 2 for row in (first, second, *fixed)]
    residuals = ranks[:2]
    if len(ranks) > 2:
        held = np.stack(ranks[2:], axis=-1)
        solve = np.linalg.pinv(held)
        residuals = [row - (held @ (solve @ row[..., None]))[..., 0] for row in residuals]
    sizes = [np.sqrt((row * row).sum(-1)) for row in residuals]
    flat = np.minimum(*sizes) < _FLAT * n
    product = np.where(flat, 1.0, sizes[0] * sizes[1])
    rhos: NDArray[np.float64] = np.clip((residuals[0] * residuals[1]).sum(-1) / product, -1, 1)
    return np.where(flat, np.nan, rhos)
