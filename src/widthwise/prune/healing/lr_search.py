"""The learning rate is found by a short test on the model itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .heldout import HeldOut
    from .training import Trainer

TEST_STEPS = 4
FACTOR = 10**0.5  # from one rate that is tried to the next
UP, DOWN = 5, 6  # most rates above and below the first


@dataclass(frozen=True, kw_only=True)
class LrTrial:
    """One learning rate that was tried.

    Attributes:
        rate: The highest of its few steps.
        divergence: KL from the parent on the blocks held out after them, in nats a token; None
            where it is not finite.
    """

    rate: float
    divergence: float | None


def tried(
    trainer: Trainer,
    judge: Callable[[], HeldOut],
    weights: Mapping[str, Tensor],
    parts: Sequence[Tensor],
    rate: float,
) -> LrTrial:
    """Make a few steps at a rate that rises up to `rate`, judge, and take the weights back.

    Args:
        trainer: Before its first step.
        judge: Judges the trainer's child as it is.
        weights: That the child has now.
        parts: Token rows of each step.
        rate: Of the last step.
    """
    value = math.nan
    for i, rows in enumerate(parts):
        terms = trainer.add_gradients(rows)
        if terms is None or not math.isfinite(sum(terms)):
            break
        if not math.isfinite(trainer.masters.step(rate * (i + 1) / len(parts))):
            break
    else:
        value = judge().divergence.value
    trainer.masters.restore(weights)
    return LrTrial(rate=rate, divergence=value if math.isfinite(value) else None)


def search(
    trial: Callable[[float], LrTrial], first: float, before: float, enough: Callable[[], bool]
) -> tuple[LrTrial, ...]:
    """Try rates upwards from the first one while that pays, or else downwards.

    Args:
        trial: Tries one rate.
        first: Where to begin.
        before: The divergence without any step.
        enough: Whether the time for trials is over; two are made at least.

    Returns:
        The trials in the order in which they were made.
    """
    made = [trial(first)]
    up = _value(made[0]) < before
    for i in range(1, (UP if up else DOWN) + 1):
        if len(made) > 1 and enough():
            break
        made.append(trial(first * FACTOR ** (i if up else -i)))
        latest, earlier = _value(made[-1]), _value(made[-2])
        if latest >= earlier and (up or earlier < before):
            break
    return tuple(made)


def best(trials: Sequence[LrTrial]) -> LrTrial:
    """The trial of the lowest divergence; where none is finite, of the lowest rate."""
    return min(trials, key=lambda trial: (_value(trial), trial.rate))


def _value(trial: LrTrial) -> float:
    return math.inf if trial.divergence is None else trial.divergence
