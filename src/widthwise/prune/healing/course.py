"""A training that is judged on its way: it goes back where it went wrong, and its best state stays.

Held-out text decides, never the loss of the training itself: of text that is gone through often
that loss falls on while the model gets worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from torch import Tensor

from .heldout import Blockwise, HeldOut
from .loss import Judge
from .record import LrTrial, TrainingStep
from .training import NotFinite, Trainer

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
        learning_rate: The highest, before it ever went back.
        trials: Learning rates that were tried; empty where there was no test of them.
        best: Of all judgements the one of the lowest divergence.
        best_step: Steps before it; 0 where no state was better than the one before any step.
        every: Tokens from one judgement to the next.
        weights: Of the best state.
        went_back: How often it went back to its best state.
        judged_at: Steps before the last judgement.
        fruitless: Judgements without a new best, since that one or since it last went back.
        setbacks: How often it went back since the last new best.
        usual: A loss that alarms nobody; None before the first step.

    Args:
        trainer: A trainer before its first step.
        judge: Judges by the rows held out.
        before: The child as it is, by these rows.
        dtypes: Dtypes that weights will be stored in, by name.

    Memory: another copy of the trained weights, in the CPU's memory.
    """

    def __init__(
        self,
        trainer: Trainer,
        judge: Judge,
        before: HeldOut,
        dtypes: Mapping[str, Any] | None = None,
    ) -> None:
        self.trainer, self.judge, self.before, self._dtypes = trainer, judge, before, dtypes or {}
        self.learning_rate, self.every = trainer.rate, 1
        self.trials: tuple[LrTrial, ...] = ()
        self.best, self.best_step = before, 0
        self.weights = trainer.masters.copied()
        self.went_back = 0
        self.judged_at = self.fruitless = self.setbacks = 0
        self.usual: float | None = None
        self._ended: Ending | None = None

    @property
    def ended(self) -> Ending | None:
        """Why no step is left: the way was gone whole, or nothing got better any more."""
        if self._ended:
            return self._ended
        if self.setbacks > SETBACKS:
            return "rising"
        return "whole" if self.trainer.done else None

    def judged(self) -> HeldOut:
        """The child with its weights as they will be stored."""
        with self.trainer.masters.rounded(self._dtypes):
            return self.judge(self.trainer.child)

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
        held = self.judged()
        value = held.divergence.value
        step = replace(step, held_out=value if math.isfinite(value) else None)
        trainer.curve[-1] = step
        self.judged_at = len(trainer.curve)
        if not self._weigh(held) and alarmed:  # text that is harder, not a model that is worse
            self.usual = max(each.loss for each in trainer.curve[-ALARM_STEPS:])
        return step

    def finish(self) -> None:
        """Put the best state into the child; the course cannot go on after that."""
        self._ended = self.ended or "whole"
        self.trainer.masters.restore(self.weights)

    def _due(self) -> bool:
        curve = self.trainer.curve
        last = curve[self.judged_at - 1].tokens if self.judged_at else 0
        return curve[-1].tokens - last >= self.every or self.trainer.done

    def _alarmed(self) -> bool:
        """Whether the last steps were all much worse than usual, and nothing was judged since."""
        curve = self.trainer.curve
        if self.usual is None:
            self.usual = curve[0].loss
        if len(curve) - self.judged_at < ALARM_STEPS:
            return False
        return all(step.loss > ALARM * self.usual for step in curve[-ALARM_STEPS:])

    def _weigh(self, held: HeldOut) -> bool:
        """Keep the state if it is the best; whether the course went back instead."""
        value, best = held.divergence.value, self.best.divergence.value
        if value < best:
            self.best, self.best_step = held, len(self.trainer.curve)
            self.weights = self.trainer.masters.copied()
            self.fruitless = self.setbacks = 0
            return False
        self.fruitless += 1
        wrong = self.fruitless >= PATIENCE or not value <= WORSE * best  # NaN too
        if wrong:
            self._go_back()
        return wrong

    def _go_back(self) -> None:
        self.trainer.go_back(self.weights, LOWER * self.trainer.rate)
        self.judged_at = len(self.trainer.curve)
        self.fruitless = 0
        self.setbacks += 1
        self.went_back += 1

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What `load` needs to go on: tensors, and facts as JSON."""
        trainer, tensors = self.trainer, self.trainer.masters.state()
        if 0 < self.best_step < len(trainer.curve) and not self._ended:
            tensors |= {f"{_BEST}{name}": value for name, value in self.weights.items()}
        facts = {
            "before": asdict(self.before.blocks),
            "best": asdict(self.best.blocks),
            "held_out": list(self.judge.rows.shape),
            "length": trainer.length,
            "ended": self._ended,
            **{name: getattr(self, name) for name in _OF_COURSE},
            **{name: getattr(trainer, name) for name in _OF_TRAINER},
            "trials": [asdict(trial) for trial in self.trials],
            "curve": [asdict(step) for step in trainer.curve],
        }
        return tensors, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        trainer = self.trainer
        best = {name for name in tensors if name.startswith(_BEST)}
        trainer.masters.load({name: tensors[name] for name in tensors.keys() - best})
        trainer.shorten(facts["length"])
        trainer.curve[:] = [TrainingStep(**step) for step in facts["curve"]]
        self.trials = tuple(LrTrial(**trial) for trial in facts["trials"])
        for kept, names in ((trainer, _OF_TRAINER), (self, _OF_COURSE)):
            for name in names:
                setattr(kept, name, facts[name])
        self.best, self._ended = held_out(facts["best"]), facts["ended"]
        if self.best_step:
            kept_best = {name.removeprefix(_BEST): tensors[name] for name in best}
            self.weights = kept_best or trainer.masters.copied()


_BEST = "best:"
_OF_COURSE = (
    *("learning_rate", "every", "best_step", "went_back"),
    *("judged_at", "fruitless", "setbacks", "usual"),
)
_OF_TRAINER = ("rate", "batch", "begun", "reserve", "step_seconds", "restarted")


def held_out(blocks: Mapping[str, Any]) -> HeldOut:
    """A judgement from the JSON of its values."""
    return HeldOut(blocks=Blockwise(**{name: tuple(values) for name, values in blocks.items()}))
