"""A child in memory is trained, step by step, to give the logits of its parent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import RunError
from .loss import checked_head, divergence, hidden_states, relative_hidden_error
from .master_weights import MasterWeights
from .record import TrainingStep
from .settings import WARM_UP_PART, WARM_UP_STEPS, HealSettings, rate_at
from .text_blocks import in_epochs

_CHECKED_TOKENS = 8
SLOWER = 1.1  # times the last step: what the next one may take


class NotFinite(RunError):
    """A loss or a gradient is not finite; weights are as before the step."""


class Trainer:
    """A child and its parent, between two steps.

    Args:
        child: A `transformers` model; all of its parameters that require a gradient are trained.
        parent: A model with the same vocabulary, on the same device; it is unchanged.
        rows: Token rows to train on, shape (rows, tokens).
        settings: How to train; `lora` is not looked at here.
        exact, factors: As for `MasterWeights`.
        spent: Function that gives the seconds of the minutes that are gone.

    Raises:
        RunError: There is nothing to train.
        UnsupportedModelError: A model does something to its logits that is not known here.

    Attributes:
        child, parent, rows, settings: As given.
        masters: The trained weights.
        curve: The steps so far.
        spent: Seconds of the minutes that are gone.
        length: Tokens of a row.
        micro: Blocks run at once.
        rate: The highest learning rate from now on.
        batch: Blocks of one step.
        begun: Seconds that were gone before the first step.
        reserve: Seconds of the minutes that are left to what comes after the last step.
        step_seconds: How long a step takes: an estimate, then the last step; 0 for not known.
        restarted: Steps that were made before the weights were last put back.
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
    ) -> None:
        start = time.monotonic()
        self.settings = settings
        self.child, self.parent, self.rows = child.eval(), parent.eval(), rows
        self._device = next(child.parameters()).device
        self.spent = spent or (lambda: time.monotonic() - start)
        self.shorten(int(rows.shape[1]))
        self._seconds = 60 * (settings.minutes or math.inf)
        few = rows[:1, :_CHECKED_TOKENS].to(self._device)
        self._heads = checked_head(child, few), checked_head(parent, few)
        self.masters = MasterWeights(child, exact, factors)
        self.curve: list[TrainingStep] = []
        self.rate = settings.first_rate
        self.begun = self.spent()
        self.reserve = self.step_seconds = 0.0
        self.restarted = 0

    def shorten(self, length: int) -> None:
        """Cut the rows into rows of so many tokens; before the first step only."""
        self.rows = self.rows[:, : self.rows.shape[1] // length * length].reshape(-1, length)
        self.length = length
        self.batch = max(1, self.settings.batch_tokens // length)
        self.micro = max(1, self.settings.at_once(self._device.type) // length)
        tokens = self.settings.most_tokens
        self._blocks = math.inf if tokens is None else max(1, tokens // length)

    @property
    def place(self) -> int:
        """Blocks trained on so far."""
        return self.curve[-1].tokens // self.length if self.curve else 0

    @property
    def epochs(self) -> float:
        """How often the text was gone through."""
        return self.place / len(self.rows)

    @property
    def seconds_left(self) -> float:
        """Seconds until the last step must end; infinite where minutes do not matter."""
        return self._seconds - self.reserve - self.spent()

    @property
    def timed_steps(self) -> float:
        """How many steps still fit into the minutes; infinite where that is not known."""
        left = self.seconds_left
        if left <= 0:
            return 0.0
        return left / self.step_seconds if self.step_seconds else math.inf

    @property
    def steps_left(self) -> float:
        """How many steps still fit into tokens and minutes; infinite where that is not known."""
        if math.isinf(self._blocks):
            return self.timed_steps
        return min(math.ceil((self._blocks - self.place) / self.batch), self.timed_steps)

    @property
    def share(self) -> float:
        """How far the way is gone, from 0 to 1: of the tokens or of the time, the further."""
        return self._share(self.place, self.spent())

    @property
    def done(self) -> bool:
        """Whether no step is left that fits into tokens and minutes."""
        return self.steps_left < 1 or self.timed_steps < SLOWER

    def step(self, stopped: Callable[[], bool] = lambda: False) -> TrainingStep | None:
        """Train on one batch.

        Args:
            stopped: Function that is asked between the parts of a batch; where it says so, the
                batch is dropped, nothing has changed, and None is returned.

        Raises:
            NotFinite: Loss or gradient is not finite; weights are then as before the step.
        """
        start = self.spent()
        rows = self.rows_from(self.place, int(min(self.batch, self._blocks - self.place)))
        rate = rate_at(self._middle(len(rows), start), self.rate, self._warmed())
        terms = self.add_gradients(rows, stopped)
        if terms is None:
            return None
        loss = terms[0] + self.settings.hidden * terms[1]
        norm = self.masters.step(rate) if math.isfinite(loss) else math.nan
        if not math.isfinite(norm):
            self.masters.forget()
            advice = f"try a lower learning rate than {self.rate:g}"
            if not self.curve:
                advice = "look at the models, and at --temperature and --hidden"
            raise NotFinite(
                f"step {len(self.curve) + 1}: the loss is {loss:.4g} and its gradient {norm:.4g}; "
                f"{advice}"
            )
        result = TrainingStep(
            tokens=(self.place + len(rows)) * self.length,
            seconds=self.spent(),
            loss=loss,
            divergence=terms[0],
            unlikeness=terms[1] if self.settings.hidden else None,
            learning_rate=rate,
            gradient_norm=norm,
        )
        self.curve.append(result)
        self.step_seconds = result.seconds - start
        return result

    def rows_from(self, place: int, count: int) -> Tensor:
        """The rows that are trained on after so many others."""
        return self.rows[in_epochs(len(self.rows), self.settings.seed, place, count)]

    def go_back(self, weights: Mapping[str, Tensor], rate: float) -> None:
        """Take earlier weights again and go on from them at another rate, warmed up again."""
        self.masters.restore(weights)
        self.rate, self.restarted = rate, len(self.curve)

    def add_gradients(
        self, rows: Tensor, stopped: Callable[[], bool] = lambda: False
    ) -> tuple[float, float] | None:
        """Divergence and unlikeness on token rows, whose gradients are added to the masters'."""
        totals = [0.0, 0.0]
        for part in torch.split(rows, self.micro):
            if stopped():
                self.masters.forget()
                return None
            for i, value in enumerate(self._add_gradient(part, len(part) / len(rows))):
                totals[i] += value
        return totals[0], totals[1]

    def _add_gradient(self, rows: Tensor, share: float) -> tuple[float, float]:
        """Terms of the loss on some blocks, times their share of the batch; adds their gradient."""
        rows, weight = rows.to(self._device), self.settings.hidden
        with torch.no_grad():
            parent, parent_layers = hidden_states(self.parent, rows, layers=bool(weight))
        child, layers = hidden_states(self.child, rows, layers=bool(weight))
        own, other = self._heads
        first = divergence(child, own, parent, other, self.settings.temperature)
        second = relative_hidden_error(layers, parent_layers) if weight else torch.zeros(())
        loss = first + weight * second if weight else first
        torch.autograd.backward(loss * share)
        return float(first.detach()) * share, float(second.detach()) * share

    def _share(self, place: int, seconds: float) -> float:
        whole = self._seconds - self.reserve - self.begun
        by_time = (seconds - self.begun) / whole if whole > 0 else 1.0  # nothing was left
        return min(1.0, max(place / self._blocks, by_time))

    def _middle(self, blocks: int, now: float) -> float:
        """The share in the middle of a step that begins now."""
        low = self._share(self.place, now)
        return (low + self._share(self.place + blocks, now + self.step_seconds)) / 2

    def _warmed(self) -> float:
        """Share of the warm-up, in steps, at the end of the next step."""
        done = len(self.curve) - self.restarted
        whole = done + self.steps_left
        steps = WARM_UP_STEPS if math.isinf(whole) else min(WARM_UP_STEPS, whole // WARM_UP_PART)
        return (done + 1) / max(1.0, steps)
