"""Gaussian-process regression of one multiplier on the share of the base's cost."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..stats import t_interval

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

LENGTHS = (0.1, 2.0)  # bounds: below the first the curve runs through every point as it comes
AMPLITUDES = (0.1, 10.0)
NOISES = (1e-4, 1.0)
RESTARTS = 8
FIXED_LENGTH, FIXED_NOISE = 0.3, 1e-3


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A multiplier that a regression predicts for a new network.

    Attributes:
        value: Mean of the predictive distribution.
        deviation: Its standard deviation, noise of single networks included.
        n: Networks behind it.
    """

    value: float
    deviation: float
    n: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's interval for a new network's multiplier, with n degrees of freedom.

        >>> low, high = Predicted(value=0.7, deviation=0.05, n=5).interval()
        >>> round(low, 3), round(high, 3)
        (0.571, 0.829)
        """
        return t_interval(self.value, self.deviation, self.n, confidence)


@dataclass(frozen=True, kw_only=True)
class FittedCurve:
    """A multiplier as a function of the share c: `k(c, X) (K + s^2 I)^-1 y` around the mean of y.

    Attributes:
        shares: Shares c of the networks behind it.
        values: Multipliers of these networks.
        regressor: Fitted regression of scikit-learn.
        left_out: Each network's multiplier as the others predict it, with the same kernel.
        widening: Factor of the regression's own deviations, at least 1: the root mean square
            of (value - prediction) / deviation over networks left out. The regression alone
            is too sure where its kernel is given, or was fitted to the same networks
            (Bachoc, Computational Statistics and Data Analysis 66, 2013).
        warnings: Warnings of the fit.
    """

    shares: tuple[float, ...]
    values: tuple[float, ...]
    regressor: GaussianProcessRegressor
    left_out: tuple[float, ...]
    widening: float
    warnings: tuple[str, ...]

    def __call__(self, share: float) -> Predicted:
        """The prediction at a share."""
        value, deviation = _predict(self.regressor, share)
        return Predicted(value=value, deviation=self.widening * deviation, n=len(self.shares))


def regress(shares: Sequence[float], values: Sequence[float], *, fixed: bool) -> FittedCurve:
    """Fit a curve: kernel amplitude times RBF, plus noise, on values of mean 0 and deviation 1.

    Args:
        shares: Input of each network.
        values: Multiplier of each network.
        fixed: Whether to take length 0.3, amplitude 1 and noise 0.001 instead of those of the
            largest marginal likelihood, which so few points as five do not settle.

    Raises:
        RunError: scikit-learn is missing.

    Cost: the fit is cubic in the number of networks, and leaving each out once more.
    """
    process = _sklearn()
    kernels = process.kernels
    kernel = kernels.ConstantKernel(1.0, AMPLITUDES) * kernels.RBF(FIXED_LENGTH, LENGTHS)
    kernel += kernels.WhiteKernel(FIXED_NOISE, NOISES)
    regressor = process.GaussianProcessRegressor(
        kernel,
        normalize_y=True,
        optimizer=None if fixed else "fmin_l_bfgs_b",
        n_restarts_optimizer=0 if fixed else RESTARTS,
        random_state=0,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regressor.fit([[share] for share in shares], list(values))
    messages = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    predictions = [_leave_one_out(regressor, shares, values, i) for i in range(len(shares))]
    errors = [
        (value - mean) / deviation
        for value, (mean, deviation) in zip(values, predictions, strict=True)
    ]
    return FittedCurve(
        shares=tuple(shares),
        values=tuple(values),
        regressor=regressor,
        left_out=tuple(mean for mean, _ in predictions),
        widening=max(1.0, math.sqrt(sum(error**2 for error in errors) / len(errors))),
        warnings=tuple(messages),
    )


def _predict(regressor: GaussianProcessRegressor, share: float) -> tuple[float, float]:
    mean, deviation = regressor.predict([[share]], return_std=True)
    return float(mean[0]), float(deviation[0])


def _leave_one_out(
    regressor: GaussianProcessRegressor, shares: Sequence[float], values: Sequence[float], i: int
) -> tuple[float, float]:
    """Mean and deviation of network i, as the same kernel predicts it from the others."""
    rest = _sklearn().GaussianProcessRegressor(regressor.kernel_, optimizer=None, normalize_y=True)
    others = [j for j in range(len(shares)) if j != i]
    rest.fit([[shares[j]] for j in others], [values[j] for j in others])
    return _predict(rest, shares[i])


def _sklearn() -> Any:
    try:
        from sklearn import gaussian_process
    except ImportError as error:
        raise RunError(
            "the tiny formula needs scikit-learn: pip install 'widthwise[tinynet]'"
        ) from error
    return gaussian_process
