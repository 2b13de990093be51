"""Where a curve bends, and whether its errors let one say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .comparisons import CONFIDENCE
from .score_vector import ScoreVector
from .types import CurvePoint, Knee

FEWEST = 4  # points: two ends, and two that could be the knee
_RESAMPLES = 2000  # of the place: what is in 5 % of them is known to ± 0.5 %


def knee_of(points: Sequence[CurvePoint], column: ScoreVector, seed: int = 0) -> Knee | None:
    """The point farthest from the straight line between dense and the narrowest network.

    The distance is that of the turned scores (logarithms of perplexities), straight up or down, so
    no choice of units moves the knee. There is one only if

    - the curve has 4 points or more,
    - its distance is not 0: Student's interval excludes 0, Bonferroni-adjusted over all inner
      points, with the errors that scores of the same items share,
    - and of 2,000 curves drawn with these errors, 95 % leave out some inner point: otherwise the
      data allow a bend anywhere.

    Args:
        points: Of the curve, dense first, then narrower and narrower.
        column: Scores of the same networks in the same order.
        seed: Of the curves drawn.

    Source: the distance is that of "Kneedle", Satopaa et al. 2011; without its smoothing.
    """
    if len(points) < FEWEST or column.covariance is None:
        return None
    ratios = np.array([point.expansion_ratio for point in points])
    off_line = _off_line(ratios)
    distances = off_line @ column.values
    errors = np.sqrt(np.diag(off_line @ column.covariance @ off_line.T).clip(0))
    where = int(np.abs(distances).argmax())
    tail = (1 - CONFIDENCE) / 2 / len(distances)
    if not 0 < column.quantile(tail) * errors[where] < abs(distances[where]):
        return None
    drawn = np.random.default_rng(seed).multivariate_normal(
        column.values, column.covariance, size=_RESAMPLES, method="eigh"
    )
    places = np.sort(ratios[1 + np.abs(drawn @ off_line.T).argmax(axis=1)])
    out = int(_RESAMPLES * (1 - CONFIDENCE) / 2)
    low, high = float(places[out]), float(places[-1 - out])
    inner = ratios[1:-1]
    if low <= inner.min() and high >= inner.max():
        return None
    return Knee(point=points[1 + where], low=low, high=high, levels_off=bool(distances[where] < 0))


def _off_line(ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix from scores to the distances of the inner ones from the line between both ends."""
    inner = len(ratios) - 2
    share = (ratios[1:-1] - ratios[-1]) / (ratios[0] - ratios[-1])  # of dense in the line
    matrix = np.zeros((inner, len(ratios)))
    matrix[:, 1:-1] = np.eye(inner)
    matrix[:, 0] -= share
    matrix[:, -1] -= 1 - share
    return matrix
