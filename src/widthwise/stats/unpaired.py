"""The difference between two scores whose items are not at hand."""

from __future__ import annotations

import math

from .estimates import Estimate
from .intervals import touching_p
from .paired import Difference


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
        >>> found = unpaired_difference(cut, dense)
        >>> round(found.low, 3), round(found.high, 3), round(found.p_value, 2)
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
