"""How much a network lost beside dense, and whether that is within what may be lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from ..study.records import Record
from .grid import is_perplexity
from .judge import CONFIDENCE, Judged

SHARE_LOSS = 0.02  # of shares of right answers: two points of a hundred
RELATIVE_LOSS = 0.05  # of everything else: of the dense value
_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, kw_only=True)
class Lost:
    """How much worse than dense a network is, over the loss that is allowed: within up to 1."""

    value: float
    low: float
    high: float


def allowed_loss(dense: Record, loss: float) -> float:
    """In the unit of the task."""
    if dense.unit == "accuracy" or dense.value is None:
        return loss
    return RELATIVE_LOSS * abs(dense.value)


def lost_of(
    dense: Record | None, record: Record, judged: Judged | None, allowed: float
) -> Lost | None:
    """The loss with the interval of the difference; None where that has none.

    Of 0/1 items Tango's score interval is looked at too, and the wider end counts: the bootstrap
    is too sure of itself where a handful of items moved, and all too sure where none did.
    """
    difference = judged.difference if judged else None
    if dense is None or judged is None or difference is None or not allowed:
        return None
    if is_perplexity(dense.unit):
        allowed = math.log1p(RELATIVE_LOSS)  # the difference is one of logarithms
    low, high = difference.low, difference.high
    if not judged.anytime and record.items and {*record.items, *dense.items} <= {0.0, 1.0}:
        pairs = list(zip(record.items, dense.items, strict=True))
        ends = score_interval(pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0)), len(pairs))
        low, high = min(low, ends[0]), max(high, ends[1])
    value = difference.value
    if dense.higher_is_better:
        value, low, high = -value, -high, -low
    return Lost(value=value / allowed, low=low / allowed, high=high / allowed)


def score_interval(won: int, lost: int, n: int) -> tuple[float, float]:
    """95 % interval of (won - lost) / n, of n paired 0/1 items; right for few items that moved too.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
        for the paired-sample design", Statistics in Medicine 17.

    Example:
        >>> low, high = score_interval(0, 0, 200)
        >>> round(low, 4), round(high, 4)
        (-0.0188, 0.0188)
    """
    return -_upper_end(lost, won, n), _upper_end(won, lost, n)


def _upper_end(won: int, lost: int, n: int) -> float:
    """The largest difference that the score test does not reject."""
    from scipy.optimize import brentq

    quantile = NormalDist().inv_cdf(1 - _TAIL)

    def surplus(delta: float) -> float:
        """The test's statistic less its bound; it falls as the difference grows."""
        b = -won - lost + (2 * n - won + lost) * delta
        c = -lost * delta * (1 - delta)
        share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # of lost items, likeliest
        variance = n * (2 * share + delta * (1 - delta))
        gap = won - lost - n * delta
        return gap + quantile * math.sqrt(max(0.0, variance))

    start = (won - lost) / n + 1e-9  # where no item moved, the surplus at 0 itself is 0
    return float(brentq(surplus, start, 1.0)) if start < 1 and surplus(1.0) < 0 else 1.0


def unseen(n: int) -> float:
    """The largest share that may be other than all n items were (Clopper and Pearson).

    Example:
        >>> round(unseen(32), 3)
        0.109
    """
    return float(1 - _TAIL ** (1 / n))
