"""`distil`: a child in memory is trained to say what its parent says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import RunError
from .blocks import Order
from .factors import rate_factors
from .loss import Head, check_head, divergence, thoughts, unlikeness
from .masters import Masters
from .settings import HealSettings, rate_at

if TYPE_CHECKING:
    from torch import Tensor

_CHECKED_TOKENS = 8


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a healing.

    Attributes:
        tokens: Trained on up to its end.
        seconds: On the clock up to its end.
        loss: All terms together, as they were before it.
        divergence: T^2 KL of parent and child, in nats a token.
        unlikeness: The hidden-state term before its weight; None where it is not computed.
        learning_rate: Of this step, of weights whose factor is 1.
        gradient_norm: Before it was clipped.
    """

    tokens: int
    seconds: float
    loss: float
    divergence: float
    unlikeness: float | None
    learning_rate: float
    gradient_norm: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Distilled:
    """A child that was trained.

    Attributes:
        weights: Name to trained weight, in float32 at least; the child holds them in its own dtype.
        curve: Its steps.
    """

    weights: Mapping[str, Tensor]
    curve: tuple[Step, ...]


def distil(
    child: Any,
    parent: Any,
    rows: Tensor,
    settings: HealSettings | None = None,
    *,
    visit: Callable[[Step], None] | None = None,
) -> Distilled:
    """Train a child in memory, in place, to give its parent's logits.

    Args:
        child: A `transformers` model; all of its parameters that require a gradient are trained.
        parent: One with the same vocabulary, on the same device; it is unchanged.
        rows: Token rows to train on, shape (rows, tokens).
        settings: How; `lora` is not looked at here, and the factors of `mup_factors` are by the
            shapes of both, padding counted.
        visit: Called with each step.

    Raises:
        PlanError: `mup_factors` are asked for, and the two differ in more than width.
        RunError: The loss is no longer finite, or there is nothing to train.
        UnsupportedModelError: A model does something to its logits that is not known here.
    """
    settings = settings or HealSettings()
    factors = rate_factors(child, parent) if settings.mup_factors else None
    trainer = Trainer(child, parent, rows, settings, factors=factors)
    while not trainer.done:
        step = trainer.step()
        if visit and step:
            visit(step)
    return Distilled(weights=trainer.masters.weights, curve=tuple(trainer.curve))


class Trainer:
    """A child and its parent, between two steps.

    Args:
        child, parent, rows, settings: As for `distil`.
        exact, factors: As for `Masters`.
        spent: Seconds of the minutes that are gone.
        reserve: Seconds of the minutes that are left to what comes after the last step.

    Attributes:
        masters: The trained weights.
        curve: The steps so far.
        begun: Seconds that were gone before the first of them.
        reserve: As given.
    """

    def __init__(
        self,
        child: Any,
        parent: Any,
        rows: Tensor,
        settings: HealSettings,
        *,
        exact: Mapping[str, Tensor] | None = None,
        factors: Mapping[str, float] | None = None,
        spent: Callable[[], float] | None = None,
        reserve: float = 0.0,
    ) -> None:
        start = time.monotonic()
        self.settings = settings
        self._child, self._parent, self._rows = child.eval(), parent.eval(), rows
        self._device = next(child.parameters()).device
        self._spent = spent or (lambda: time.monotonic() - start)
        self._order = Order(len(rows), settings.seed)
        self._length = int(rows.shape[1])
        self._batch = max(1, settings.batch_tokens // self._length)
        self._micro = max(1, settings.at_once(self._device.type) // self._length)
        tokens, minutes = settings.most_tokens, settings.minutes
        self._blocks = None if tokens is None else max(1, tokens // self._length)
        self.reserve = reserve
        self._limit = None if minutes is None else 60 * minutes - reserve
        for model in (child, parent):
            check_head(model, rows[:1, :_CHECKED_TOKENS].to(self._device))
        self.masters = Masters(child, exact, factors)
        self.curve: list[Step] = []
        self.begun = self._spent()

    @property
    def place(self) -> int:
        """Blocks trained on so far."""
        return self.curve[-1].tokens // self._length if self.curve else 0

    @property
    def epochs(self) -> float:
        """How often the text was gone through."""
        return self.place / len(self._rows)

    @property
    def share(self) -> float:
        """How far the way is gone: of the tokens or of the time, whichever is further."""
        return self._share(self.place, self._spent())

    @property
    def done(self) -> bool:
        """Whether no step is left that fits into tokens and minutes; the first one always does."""
        if not self.curve:
            return False
        if self._blocks is not None and self.place >= self._blocks:
            return True
        return self._limit is not None and self._spent() + self._last_seconds() > self._limit

    def step(self, stopped: Callable[[], bool] = lambda: False) -> Step | None:
        """Train on one batch.

        Args:
            stopped: Asked between the parts of a batch; where it says so, the batch is dropped and
                nothing has changed.

        Raises:
            RunError: Loss or gradient is not finite; weights are then as before the step.
        """
        import torch

        begun = self._spent()
        left = self._batch if self._blocks is None else self._blocks - self.place
        chosen = self._order.at(self.place, min(self._batch, left))
        rate = rate_at(self._middle(len(chosen), begun), self.settings.rate)
        totals = [0.0, 0.0]
        for part in torch.split(chosen, self._micro):
            if stopped():
                self.masters.forget()
                return None
            for i, value in enumerate(self._add_gradient(part, len(part) / len(chosen))):
                totals[i] += value
        loss = totals[0] + self.settings.hidden * totals[1]
        norm = self.masters.step(rate) if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            self.masters.forget()
            advice = f"try a lower learning rate than {self.settings.rate:g}"
            if not self.curve:
                advice = "look at the models, and at --temperature and --hidden"
            raise RunError(
                f"step {len(self.curve) + 1}: the loss is {loss:.4g} and its gradient {norm:.4g}; "
                f"{advice}"
            )
        found = Step(
            tokens=(self.place + len(chosen)) * self._length,
            seconds=self._spent(),
            loss=loss,
            divergence=totals[0],
            unlikeness=totals[1] if self.settings.hidden else None,
            learning_rate=rate,
            gradient_norm=norm,
        )
        self.curve.append(found)
        return found

    def _add_gradient(self, part: Tensor, share: float) -> tuple[float, float]:
        """Terms of the loss on some blocks, times their share of the batch; adds their gradient."""
        import torch

        rows, weight = self._rows[part].to(self._device), self.settings.hidden
        with torch.no_grad():
            other = thoughts(self._parent, rows, layers=bool(weight))
        own = thoughts(self._child, rows, layers=bool(weight))
        first = divergence(
            own.last, Head.of(self._child), other.last, Head.of(self._parent),
            self.settings.temperature,
        )  # fmt: skip
        second = unlikeness(own.layers, other.layers) if weight else torch.zeros(())
        loss = first + weight * second if weight else first
        torch.autograd.backward(loss * share)
        return float(first.detach()) * share, float(second.detach()) * share

    def _share(self, place: int, seconds: float) -> float:
        by_tokens = 0.0 if self._blocks is None else place / self._blocks
        if self._limit is None:
            return by_tokens
        return max(by_tokens, (seconds - self.begun) / max(self._limit - self.begun, 1e-9))

    def _middle(self, blocks: int, now: float) -> float:
        """The share in the middle of a step that begins now."""
        low = self._share(self.place, now)
        high = self._share(self.place + blocks, now + self._last_seconds())
        return min(1.0, (low + high) / 2)

    def _last_seconds(self) -> float:
        ends: Sequence[float] = [step.seconds for step in self.curve[-2:]]
        return ends[-1] - ends[0] if len(ends) == 2 else 0.0
