"""What meta-training asks of whatever it trains."""

from __future__ import annotations

from math import nan, sqrt
from typing import Protocol

from .inner_loop import Floats
from .tasks import Episodes


class Learner(Protocol):
    """A network, a limit or a function of a kernel."""

    def logits(self, batch: Episodes, lr: float, steps: int) -> Floats:
        """At the queries, after steps on each task's support; shape (tasks, 5, 5)."""
        ...

    def meta_step(
        self, batch: Episodes, *, inner_lr: float, inner_steps: int, lr: float, clip: float
    ) -> float:
        """One step by the clipped first-order gradient; its norm before it was clipped."""
        ...

    def copy(self) -> Learner:
        """The same, to be kept while this one is trained on."""
        ...


def clipped(lr: float, clip: float, square: float) -> tuple[float, float]:
    """The learning rate with the gradient's norm clipped, and that norm, from its square.

    >>> clipped(0.1, 0.5, 4.0)
    (0.025, 2.0)
    """
    norm = sqrt(square) if square >= 0 else nan
    return (lr * min(1.0, clip / norm) if norm > 0 else lr), norm
