"""The best learning rate at each width, and its shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, log2
from typing import Literal

import numpy as np

from ...errors import LimitError
from ...mup import Kind
from ...stats import Estimate, mean_with_error, with_ends
from ...theory import Array
from .train import KIND_NAMES, KINDS, TrainingRun

Verdict = Literal["stays", "shifts", "undecided"]
FARTHEST = 2.5  # octaves between rates that a parabola is laid through
MARGIN = 0.25  # octaves a doubling: a quarter of what Adam's standard rate must go down by theory


@dataclass(frozen=True, kw_only=True, eq=False)
class LrCurve:
    """The networks of one parametrization at one width.

    Attributes:
        kind: The parametrization.
        rates: Learning rates at the base width, ascending.
        losses: Losses of shape (seeds, rates); infinite where a run diverged.
        optima: Base-2 logarithm of each seed's best learning rate; None where it is at an end of
            `rates` or all runs diverged.
    """

    kind: Kind
    width: int
    rates: tuple[float, ...]
    losses: Array
    optima: tuple[float | None, ...]

    @property
    def best(self) -> Estimate | None:
        """Mean of the optima over seeds; None where a seed has none."""
        known = [optimum for optimum in self.optima if optimum is not None]
        return mean_with_error(known) if len(known) == len(self.optima) else None

    @property
    def lowest(self) -> str:
        """The lowest mean loss in nats a token, or `-` where none is finite."""
        lowest = float(self.losses.mean(axis=0).min())
        return f"{lowest:.4f}" if isfinite(lowest) else "-"

    @property
    def reason(self) -> str | None:
        """The reason why there is no best learning rate; None where there is one."""
        missing = self.optima.count(None)
        if not missing:
            return None
        best = np.argmin(self.losses, axis=1)
        for place, end, more in ((0, "lowest", "lower"), (-1, "highest", "higher")):
            at_end = int((best == place % len(self.rates)).sum())
            if at_end == missing and np.isfinite(self.losses.min(axis=1)).all():
                return (
                    f"at width {self.width} the best learning rate of {at_end} of "
                    f"{len(self.optima)} seeds is the {end} of --learning-rates "
                    f"({self.rates[place]:.4g}); add {more} ones"
                )
        return (
            f"at width {self.width} the best learning rate of {missing} of {len(self.optima)} "
            "seeds is at an end of --learning-rates, or beside it a run diverged or the next rate "
            f"is more than {FARTHEST:g} octaves off; take more of them"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class OptimumShift:
    """The shift of one parametrization's best learning rate with the width.

    Attributes:
        kind: The parametrization.
        curves: Curves in ascending order of the width.
        slope: Octaves by which the optimum moves when the width doubles; None where an optimum is
            not known.
    """

    kind: Kind
    curves: tuple[LrCurve, ...]
    slope: Estimate | None

    @property
    def verdict(self) -> Verdict | None:
        """`stays` where the 95 % interval of the slope is within the margin of 0.

        `shifts` where it leaves 0 out, and `undecided` otherwise; None without a slope.
        """
        if self.slope is None:
            return None
        low, high = self.slope.interval()
        if -MARGIN <= low < high <= MARGIN:  # seeds that all agree show nothing
            return "stays"
        return "shifts" if low > 0 or high < 0 else "undecided"

    @property
    def sentence(self) -> str:
        """The verdict with its numbers in one sentence."""
        name = KIND_NAMES[self.kind]
        if self.slope is None:
            reason = next(curve.reason for curve in self.curves if curve.reason)
            return f"{name}: whether the best learning rate stays is not known: {reason}."
        shift = with_ends(self.slope.value, *self.slope.interval(), sign=True)
        shift += " octaves when the width doubles"
        if self.verdict == "stays":
            return f"{name}: the best learning rate stays: {shift}, within {MARGIN:g} of none."
        if self.verdict == "shifts":
            return f"{name}: the best learning rate shifts: {shift}."
        return f"{name}: it is not decided whether the best learning rate stays: {shift}."


def optimum_shifts(runs: Sequence[TrainingRun]) -> tuple[OptimumShift, ...]:
    """The shift of each parametrization among some runs.

    Args:
        runs: Runs of the same widths, learning rates and seeds of every parametrization, each once.

    Raises:
        LimitError: A run is missing, or there are too few of something; see `check_grid`.

    Example:
        >>> from math import log2
        >>> runs = [
        ...     TrainingRun(kind="sp", width=width, lr=2.0**k, seed=seed, reason=None,
        ...             duration_sec=0,
        ...             loss=(k + 5 + log2(width / 64)) ** 2 + seed)
        ...     for width in (64, 128) for k in range(-8, -2) for seed in range(2)
        ... ]
        >>> [(shift.kind, shift.slope.value, shift.verdict) for shift in optimum_shifts(runs)]
        [('sp', -1.0, 'shifts')]
    """
    losses = {(run.kind, run.width, run.lr, run.seed): run.loss for run in runs}
    kinds, widths, rates, seeds = (sorted(set(axis)) for axis in zip(*losses, strict=True))
    check_grid(widths, rates, len(seeds))
    if len(losses) != len(kinds) * len(widths) * len(rates) * len(seeds):
        raise LimitError("every width must have been trained with every learning rate and seed")
    shifts = []
    for kind in sorted(kinds, key=KINDS.index):  # the standard one first
        curves = []
        for width in widths:
            grid = [[losses[kind, width, lr, seed] for lr in rates] for seed in seeds]
            filled = np.array([[inf if x is None else x for x in row] for row in grid])
            optima = tuple(_optimum(rates, row) for row in filled)
            curves.append(
                LrCurve(kind=kind, width=width, rates=tuple(rates), losses=filled, optima=optima)
            )
        shifts.append(OptimumShift(kind=kind, curves=tuple(curves), slope=_slope(curves)))
    return tuple(shifts)


def loss_sentences(shifts: Sequence[OptimumShift]) -> list[str]:
    """The loss of the widest networks of each parametrization less that of muP, as sentences.

    Each at the learning rate that has its lowest mean loss; paired by seeds, with Student's 95 %
    interval. Empty without muP. That both rates are chosen by these seeds makes both losses lower
    by about as much.
    """
    ours = next((shift for shift in shifts if shift.kind == "mup"), None)
    if ours is None:
        return []
    sentences = []
    for shift in shifts:
        if shift is not ours:
            both = [_best_losses(each.curves[-1]) for each in (shift, ours)]
            if not np.isfinite(both).all():
                continue
            gap = mean_with_error((both[0] - both[1]).tolist())
            sentences.append(
                f"{KIND_NAMES[shift.kind]} at width {ours.curves[-1].width:,}: {_compared(gap)} "
                "than muP, each at its best learning rate of those tried."
            )
    return sentences


def _compared(gap: Estimate) -> str:
    """How much more or less a loss is.

    >>> _compared(mean_with_error([-0.04, -0.06]))
    '0.050 [-0.077, 0.177] nats a token less'
    """
    low, high = gap.interval()
    if gap.value < 0:
        return f"{with_ends(-gap.value, -high, -low, decimals=3)} nats a token less"
    return f"{with_ends(gap.value, low, high, decimals=3)} nats a token more"


def _best_losses(curve: LrCurve) -> Array:
    """Losses of all seeds at the rate whose mean is the lowest."""
    return np.asarray(curve.losses[:, int(np.argmin(curve.losses.mean(axis=0)))])


def check_grid(widths: Sequence[int], rates: Sequence[float], seeds: int) -> None:
    """Check that optima can be computed and compared.

    Raises:
        LimitError: There are fewer than two widths or seeds or three learning rates, one stands
            twice, or a rate is not above 0.
    """
    for axis, least, name in ((widths, 2, "widths"), (rates, 3, "learning rates")):
        if len(set(axis)) != len(axis) or len(axis) < least:
            raise LimitError(
                f"{name} must be at least {least} different ones; got "
                f"{', '.join(f'{value:g}' for value in axis) or 'none'}"
            )
    for rate in rates:
        if not 0 < rate < inf:
            raise LimitError(f"learning rates must be finite numbers above 0; got {rate:g}")
    if seeds < 2:
        raise LimitError(f"an error needs at least 2 seeds; got {seeds}")


def _optimum(rates: Sequence[float], losses: Array) -> float | None:
    """log2 of the best rate, by the parabola through the lowest loss and those beside it.

    None where that cannot be known: at an end, beside a run that diverged or a rate far off.
    """
    i = int(np.argmin(losses))
    if i in (0, len(rates) - 1) or not np.isfinite(losses[i]):
        return None
    left, here, right = (log2(rate) for rate in rates[i - 1 : i + 2])
    low, least, high = (float(loss) for loss in losses[i - 1 : i + 2])
    if low == inf or high == inf or max(right - here, here - left) > FARTHEST:
        return None
    if low == high == least:
        return here
    a, b = (here - left) * (least - high), (here - right) * (least - low)
    return here - ((here - left) * a - (here - right) * b) / (2 * (a - b))


def _slope(curves: Sequence[LrCurve]) -> Estimate | None:
    """Mean of the least-squares slopes of the seeds, whose networks saw the same text."""
    if any(curve.best is None for curve in curves):
        return None
    x = np.log2([curve.width for curve in curves])
    x -= x.mean()
    optima = np.array([curve.optima for curve in curves], dtype=np.float64)
    return mean_with_error((x @ optima / (x @ x)).tolist())
