"""A training that is judged on its way: it goes back where it went wrong, and its best state stays.

Held-out text decides, never the loss of the training itself: of text that is gone through often
that loss falls on while the model gets worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from .heldout import Blockwise, HeldOut
from .training import NotFinite, Trainer, TrainingStep

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = 3  # judgements without a new best, after which a course goes back
WORSE = 1.25  # times the best divergence: then it goes back at once
ALARM, ALARM_STEPS = 1.5, 3  # times the first losses, in so many steps: judged at once
LOWER = 0.25  # what the rate is multiplied by when a course goes back
SETBACKS = 2  # without a new best between them; the next one ends the course
Ending = Literal["whole", "rising"]


class TrainingCourse:
    """A trainer at work, and the best state that it has been in by held-out text.

    Attributes:
        trainer, judge, before: As given.
        best: Of all judgements the one of the lowest divergence.
        best_step: Steps before it; 0 where no state was better than the one before any step.
        every: Tokens from one judgement to the next.
        weights: Of the best state.
        went_back: How often it went back to its best state.

    Memory: another copy of the trained weights, in the CPU's memory.
    """

    def __init__(self, trainer: Trainer, judge: Callable[[], HeldOut], before: HeldOut) -> None:
        self.trainer, self.before, self.every = trainer, before, 1
        self.best, self.best_step = before, 0
        self.judge = judge
        self.weights = trainer.masters.copied()
        self.went_back = 0
        self._judged_at = 0  # steps
        self._fruitless = self._setbacks = 0
        self._usual: float | None = None  # loss that alarms nobody
        self._ended: Ending | None = None

    @property
    def ended(self) -> Ending | None:
        """Why no step is left: the way was gone whole, or nothing got better any more."""
        if self._ended:
            return self._ended
        if self._setbacks > SETBACKS:
            return "rising"
        return "whole" if self.trainer.done else None

    def step(self, stopped: Callable[[], bool] = lambda: False) -> TrainingStep | None:
        """Train on one batch, and judge what came of it where that is due.

        Returns:
            The step; None where it was stopped, or went wrong and was taken back.

        Raises:
            NotFinite: With the weights of the best state itself, the loss is not finite.
        """
        trainer = self.trainer
        try:
            step = trainer.step(stopped)
        except NotFinite:
            if len(trainer.curve) == trainer.restarted:
                raise
            self._go_back()
            return None
        if step is None or not ((alarmed := self._alarmed()) or self._due()):
            return step
        held = self.judge()
        value = held.divergence.value
        step = replace(step, held_out=value if math.isfinite(value) else None)
        trainer.curve[-1] = step
        self._judged_at = len(trainer.curve)
        if not self._weigh(held) and alarmed:  # text that is harder, not a model that is worse
            self._usual = max(each.loss for each in trainer.curve[-ALARM_STEPS:])
        return step

    def finish(self) -> None:
        """Put the best state into the child; the course cannot go on after that."""
        self._ended = self.ended or "whole"
        self.trainer.masters.restore(self.weights)

    def _due(self) -> bool:
        curve = self.trainer.curve
        last = curve[self._judged_at - 1].tokens if self._judged_at else 0
        return curve[-1].tokens - last >= self.every or self.trainer.done

    def _alarmed(self) -> bool:
        """Whether the last steps were all much worse than usual, and nothing was judged since."""
        curve = self.trainer.curve
        if self._usual is None:
            self._usual = curve[0].loss
        if len(curve) - self._judged_at < ALARM_STEPS:
            return False
        return all(step.loss > ALARM * self._usual for step in curve[-ALARM_STEPS:])

    def _weigh(self, held: HeldOut) -> bool:
        """Keep the state if it is the best; whether the course went back instead."""
        value, best = held.divergence.value, self.best.divergence.value
        if value < best:
            self.best, self.best_step = held, len(self.trainer.curve)
            self.weights = self.trainer.masters.copied()
            self._fruitless = self._setbacks = 0
            return False
        self._fruitless += 1
        wrong = self._fruitless >= PATIENCE or not value <= WORSE * best  # NaN too
        if wrong:
            self._go_back()
        return wrong

    def _go_back(self) -> None:
        self.trainer.go_back(self.weights, LOWER * self.trainer.rate)
        self._judged_at = len(self.trainer.curve)
        self._fruitless = 0
        self._setbacks += 1
        self.went_back += 1

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What `load` needs to go on: tensors, and facts as JSON."""
        trainer, tensors = self.trainer, self.trainer.masters.state()
        if 0 < self.best_step < len(trainer.curve) and not self._ended:
            tensors |= {f"{_BEST}{name}": value for name, value in self.weights.items()}
        facts = {
            "before": asdict(self.before.blocks),
            "best": asdict(self.best.blocks),
            "best_step": self.best_step,
            "every": self.every,
            "length": trainer.length,
            "judged_at": self._judged_at,
            "fruitless": self._fruitless,
            "setbacks": self._setbacks,
            "usual": self._usual,
            "ended": self._ended,
            "went_back": self.went_back,
            **{name: getattr(trainer, name) for name in _OF_TRAINER},
            "curve": [asdict(step) for step in trainer.curve],
        }
        return tensors, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        trainer = self.trainer
        whole = {name: value for name, value in tensors.items() if not name.startswith(_BEST)}
        trainer.masters.load(whole)
        trainer.shorten(facts["length"])
        trainer.curve[:] = [TrainingStep(**step) for step in facts["curve"]]
        for name in _OF_TRAINER:
            setattr(trainer, name, facts[name])
        self.best, self.best_step = held_out(facts["best"]), facts["best_step"]
        self.every, self._judged_at = facts["every"], facts["judged_at"]
        self._fruitless, self._setbacks = facts["fruitless"], facts["setbacks"]
        self._usual, self._ended = facts["usual"], facts["ended"]
        self.went_back = facts["went_back"]
        best = {
            name.removeprefix(_BEST): value
            for name, value in tensors.items()
            if name.startswith(_BEST)
        }
        if self.best_step:
            self.weights = best or trainer.masters.copied()


_BEST = "best:"
_OF_TRAINER = ("rate", "batch", "begun", "reserve", "step_seconds", "restarted")


def held_out(blocks: Mapping[str, Any]) -> HeldOut:
    """A judgement from the JSON of its values."""
    return HeldOut(blocks=Blockwise(**{name: tuple(values) for name, values in blocks.items()}))
