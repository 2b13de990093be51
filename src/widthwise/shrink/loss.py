"""How much of its scores a model lost by a cut, in one number with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import RunError
from ..findings import TaskPair, beats_its_floor, log_ratio
from ..stats import LARGEST_LOG, is_perplexity, joined, percent, skewed_interval
from ..study import Record

_LOGARITHMS = "nats"  # the unit of a perplexity's logarithm


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The share of its scores that a model lost.

    Of an accuracy it is the share of the right answers, of bits per byte or perplexity the share by
    which they rose.

    Attributes:
        tasks: What it is the mean of.
        value: The loss; below 0 where scores became better.
        low: Lower end of its 95 % interval.
        high: Upper end.
        others: The tasks beside these that lost more than `limit` by their own intervals.
        limit: The loss that is allowed.
    """

    tasks: tuple[str, ...]
    value: float
    low: float
    high: float
    others: tuple[str, ...]
    limit: float

    @property
    def is_within(self) -> bool:
        """Whether the loss is shown to be allowed: the interval ends below the limit.

        For a loss of exactly the limit it says so in at most 5 % of all samples: in 1 to 2 % of
        answers, and in 2.5 to 5 % of texts, by how skewed their losses are.
        """
        return self.high <= self.limit and not self.others

    def __str__(self) -> str:
        found = f"a loss of {percent(self.value)} [{percent(self.low)}, {percent(self.high)}]"
        of = f"{'the mean of ' if len(self.tasks) > 1 else ''}{joined(self.tasks)}"
        limit = percent(self.limit)
        if self.others:
            return f"{found} on {of}, and of more than {limit} on {joined(self.others)}"
        if self.is_within:
            return f"{found} on {of}, within the {limit} that are allowed"
        if self.low > self.limit:
            return f"{found} on {of}, more than the {limit} that are allowed"
        return f"{found} on {of}, not shown to be within the {limit} that are allowed"


def loss_of(pairs: Sequence[TaskPair], limit: float) -> Loss:
    """The loss of a cut, from its scores beside those of the model without a cut.

    Texts decide where there are any, in bits per byte or perplexity, because a few of them tell 1 %
    where a thousand answers do not; the other tasks must then not be shown to lose more. Without
    texts it is the mean over all tasks. Tasks at which the model does not beat the floor have
    nothing to lose and are left out.

    The interval of answers is that of `paired_difference`, over the dense score; that of texts is
    `skewed_interval` of their losses, each a share of the dense mean. The interval of the mean of
    several tasks recovers variances from theirs (Zou and Donner, Statistics in Medicine 27, 2008).

    Raises:
        RunError: No task is left.
    """
    losses = {pair.quantity: _loss(pair) for pair in pairs if _can_lose(pair)}
    if not losses:
        raise RunError(
            "no loss can be seen: at none of the tasks the model without a cut beats an answerer "
            "that understands nothing; ask others with --task, or more items with --limit"
        )
    texts = {p.quantity for p in pairs if not p.own.higher_is_better}
    judged = {name: each for name, each in losses.items() if name in texts} or losses
    values, lows, highs = zip(*judged.values(), strict=True)
    mean = math.fsum(values) / len(values)
    return Loss(
        tasks=tuple(judged),
        value=mean,
        low=mean - math.dist(values, lows) / len(values),
        high=mean + math.dist(values, highs) / len(values),
        others=tuple(n for n, (_, low, _) in losses.items() if n not in judged and low > limit),
        limit=limit,
    )


def _can_lose(pair: TaskPair) -> bool:
    """Whether it was compared, and the dense score is one from which something can be lost."""
    is_compared = pair.judged is not None and pair.judged.difference is not None
    has_score = bool(pair.other.value)
    return is_compared and has_score and (pair.other.floor is None or beats_its_floor(pair.other))


def _loss(pair: TaskPair) -> tuple[float, float, float]:
    """The loss on a task, and the ends of its interval."""
    assert pair.judged is not None
    found = pair.judged.difference
    assert found is not None
    assert pair.other.value is not None
    if {*pair.own.items, *pair.other.items} <= {0.0, 1.0}:
        ends = tuple(end / pair.other.value for end in (found.value, found.low, found.high))
    else:
        ends = _of_values(log_ratio(pair.own), log_ratio(pair.other))
    if is_perplexity(pair.own.unit):  # compared by logarithms
        ends = tuple(math.expm1(min(end, LARGEST_LOG)) for end in ends)
    value, low, high = ends
    return (-value, -high, -low) if pair.own.higher_is_better else (value, low, high)


def _of_values(own: Record, other: Record) -> tuple[float, ...]:
    """The change of a mean, and the ends of its interval: as a share of the other mean, but of
    logarithms as it is."""
    import numpy as np

    before = np.asarray(other.items)
    change = np.asarray(own.items) - before
    if own.unit == _LOGARITHMS:
        return float(change.mean()), *skewed_interval(change.tolist())
    share = float(change.mean() / before.mean())
    each = share + (change - share * before) / before.mean()  # linear in both means
    return share, *skewed_interval(each.tolist())
