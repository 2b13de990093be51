"""Variance that random draws add to a difference, where one of two networks was drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import variance

from ..errors import RunError
from .intervals import t_quantile, touching_p
from .paired import Difference


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
    own = (below if value > 0 else above) / t_quantile(tail, n - 1)

    def half_width(level: float) -> float:
        rest = (1 - level) / 2
        return math.hypot(own * t_quantile(rest, n - 1), error * t_quantile(rest, k - 1))

    luck = error * t_quantile(tail, k - 1)
    return Difference(
        value=value,
        low=value - math.hypot(below, luck),
        high=value + math.hypot(above, luck),
        n=n,
        p_value=max(difference.p_value, touching_p(half_width, abs(value))),
    )
