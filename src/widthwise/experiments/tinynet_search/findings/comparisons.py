"""Networks for the same budgets side by side, on the same photos, with chance of both kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ....errors import RunError
from ....stats import holm, t_interval, t_p_value

Columns = NDArray[np.float64]  # (runs, photos): answers of each run, 0 to 1
_LEVEL = 0.05  # that a p-value must not exceed


@dataclass(frozen=True, kw_only=True)
class AccuracyDifference:
    """How much more accurate one way of choosing networks is than another.

    Attributes:
        other: The other way.
        budgets: Multiply-adds at which both were trained.
        value: Mean over budgets of the difference of accuracies; None without such a budget.
        low: Lower end of its interval; None where chance of the runs is not known.
        high: Upper end.
        photos: How many both were judged on.
        runs: Fewest runs behind either way at a budget.
        p_value: Of the difference; adjusted by Holm's method where it is one of several; None where
            there is no interval.
        reason: Why there is no value or no interval; None otherwise.
    """

    other: str
    budgets: tuple[float, ...] = ()
    value: float | None = None
    low: float | None = None
    high: float | None = None
    photos: int = 0
    runs: int = 0
    p_value: float | None = None
    reason: str | None = None

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or that nothing is shown, by the interval and the p-value."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "no difference shown"
        if self.p_value is None or self.p_value > _LEVEL:
            return "no difference shown"
        return "better" if self.low > 0 else "worse"


def accuracy_difference(
    ours: Mapping[float, Columns],
    theirs: Mapping[float, Columns],
    other: str,
    *,
    confidence: float = 0.95,
) -> AccuracyDifference:
    """Mean difference of accuracy over the budgets that both have.

    Two kinds of chance are in it, and both in its interval: other photos would have been answered
    otherwise (the same photos answer for all runs, so they are paired), and other runs, of another
    seed or another network drawn, would have answered otherwise. Their variances are added, which
    counts chance of single answers in both and so is a little wide; Student's quantile has the
    degrees of freedom of the sum.

    Args:
        ours: Answers by budget, of shape (runs, photos), 0 to 1; the same photos everywhere.
        theirs: Likewise.
        other: What theirs is called.
        confidence: Of the interval, in (0, 1).

    Raises:
        RunError: The photos differ.

    Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components".
    """
    shared = sorted(set(ours) & set(theirs))
    if not shared:
        return AccuracyDifference(other=other, reason="the two share no budget")
    lengths = {part[budget].shape[1] for part in (ours, theirs) for budget in shared}
    if len(lengths) > 1:
        raise RunError(f"networks beside each other must be judged on the same photos: {lengths}")
    n_photos, share = lengths.pop(), 1 / len(shared)
    differences = np.mean([ours[b].mean(0) - theirs[b].mean(0) for b in shared], axis=0)
    value = float(differences.mean())
    groups = [part[budget].mean(1) for part in (ours, theirs) for budget in shared]
    result = AccuracyDifference(
        other=other,
        budgets=tuple(shared),
        value=value,
        photos=n_photos,
        runs=min(map(len, groups)),
    )
    if result.runs < 2 or n_photos < 2:
        reason = "a single run says nothing of the chance of runs; take two seeds or more"
        return replace(result, reason=reason)
    parts = [(float(differences.var(ddof=1)) / n_photos, n_photos - 1)]
    parts += [(share**2 * float(g.var(ddof=1)) / len(g), len(g) - 1) for g in groups]
    error, freedom = _error(parts)
    low, high = t_interval(value, error, freedom, confidence)
    return replace(result, low=low, high=high, p_value=t_p_value(value, error, freedom))


def adjusted(besides: Sequence[AccuracyDifference]) -> tuple[AccuracyDifference, ...]:
    """The same with p-values adjusted by Holm's method over all that have one."""
    known = [beside.p_value for beside in besides if beside.p_value is not None]
    left = iter(holm(known))
    return tuple(
        beside if beside.p_value is None else replace(beside, p_value=next(left))
        for beside in besides
    )


def _error(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Standard error of a sum, and its degrees of freedom, from the variance and those of each."""
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return 0.0, 1.0
    freedom = total**2 / sum(variance**2 / freedom for variance, freedom in parts)
    return math.sqrt(total), freedom
