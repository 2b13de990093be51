"""How much a network lost beside dense, and whether that is within what may be lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..stats import is_perplexity
from ..study import Record
from .comparisons import Comparison

SHARE_LOSS = 0.02  # of shares of right answers: two points of a hundred
RELATIVE_LOSS = 0.05  # of everything else: of the dense value


@dataclass(frozen=True, kw_only=True)
class RelativeLoss:
    """How much worse than dense a network is, over the loss that is allowed: within up to 1."""

    value: float
    low: float
    high: float


def margin(dense: Record, loss: float) -> float:
    """In the unit of the task."""
    if dense.unit == "accuracy" or dense.value is None:
        return loss
    return RELATIVE_LOSS * abs(dense.value)


def relative_loss(
    dense: Record | None, judged: Comparison | None, allowed: float
) -> RelativeLoss | None:
    """The loss with the interval of the difference; None where that has none."""
    difference = judged.difference if judged else None
    if dense is None or judged is None or difference is None or not allowed:
        return None
    if is_perplexity(dense.unit):
        allowed = math.log1p(RELATIVE_LOSS)  # the difference is one of logarithms
    value, low, high = difference.value, difference.low, difference.high
    if dense.higher_is_better:
        value, low, high = -value, -high, -low
    return RelativeLoss(value=value / allowed, low=low / allowed, high=high / allowed)
