"""`distil`: what comes before the first step of a training, and a training from end to end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import RunError
from .budget import TRAINED, every_tokens, held_rows, token_seconds, trial_parts
from .course import TrainingCourse
from .heldout import HeldOut, Judge, judge
from .learning_rate import TEST_STEPS, LrTrial, best, rate_factors, search, tried
from .settings import HealSettings
from .text_blocks import LEAST_HELD, split
from .training import Trainer, TrainingStep

if TYPE_CHECKING:
    from torch import Tensor


TEST_SHARE = 0.15  # of the time that is left: then no further rate is tried
TESTED_TOKENS = 2500  # where time gives fewer to train on, none is left for a test of rates
UNTESTED = 0.1  # times the first rate: what is taken then
LEAST_STEPS = 24  # where time gives fewer steps of the batch asked for, batches get smaller
FEW_STEPS, SHORTEST = 6, 64  # steps and tokens: where not even so many of one row fit, rows are cut


class NothingTrained(RunError):
    """There was no time for a single step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Distilled:
    """A child that was trained.

    Attributes:
        weights: Name to trained weight, in float32 at least; the child holds them in its own dtype.
        curve: Its steps.
        best_step: Steps after which the weights were these; 0 where no step made them better, and
            they are as they were.
        before: The child on the rows held out before any step.
        after: The child on the same rows, with these weights.
        trials: Of the test of learning rates; empty where the rate was given.
    """

    weights: Mapping[str, Tensor]
    curve: tuple[TrainingStep, ...]
    best_step: int
    before: HeldOut
    after: HeldOut
    trials: tuple[LrTrial, ...]


def distil(
    child: Any,
    parent: Any,
    rows: Tensor,
    settings: HealSettings | None = None,
    *,
    held_out: Tensor | None = None,
    visit: Callable[[TrainingStep], None] | None = None,
) -> Distilled:
    """Train a child in memory, in place, to give its parent's logits, by held-out text.

    The child ends with the weights that were best on the rows held out, which may be its first.

    Args:
        child: A `transformers` model; all of its parameters that require a gradient are trained.
        parent: One with the same vocabulary, on the same device; it is unchanged.
        rows: Token rows to train on, shape (rows, tokens).
        settings: How; `lora` is not looked at here, and the factors of `mup_factors` are by the
            shapes of both, padding counted.
        held_out: Token rows to judge on, never trained on; None for about every sixteenth of
            `rows`, six at least.
        visit: Called with each step.

    Raises:
        PlanError: `mup_factors` are asked for, and the two differ in more than width.
        RunError: There are fewer than twelve rows and none held out, the loss is not finite
            before anything was trained, there is nothing to train, or no time for a step.
        UnsupportedModelError: A model does something to its logits that is not known here.
    """
    settings = settings or HealSettings()
    if held_out is None:
        if len(rows) < 2 * LEAST_HELD:
            raise RunError(
                f"{len(rows)} rows are too few to hold some out; give at least {2 * LEAST_HELD} "
                "rows, or pass held_out"
            )
        rows, held_out = split(rows)
    factors = rate_factors(child, parent) if settings.mup_factors else None
    trainer = Trainer(child, parent, rows, settings, factors=factors)
    ready = prepare(trainer, held_out)
    while not ready.course.ended:
        step = ready.course.step()
        if visit and step:
            visit(step)
    ready.course.finish()
    return Distilled(
        weights=trainer.masters.weights,
        curve=tuple(trainer.curve),
        best_step=ready.course.best_step,
        before=ready.course.before,
        after=ready.course.best,
        trials=ready.trials,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Ready:
    """A training before its first step.

    Attributes:
        course: The training.
        judge: Judges by the rows held out that it can afford.
        trials: Of the test of learning rates; empty where there was none.
    """

    course: TrainingCourse
    judge: Judge
    trials: tuple[LrTrial, ...]


def prepare(
    trainer: Trainer,
    held_out: Tensor,
    *,
    dtypes: Mapping[str, Any] | None = None,
    closing: float = 0.0,
    status: Callable[[str], None] = lambda _: None,
) -> Ready:
    """Plan what the time allows, judge the child as it is, and find the learning rate.

    Args:
        trainer: The trainer before its first step; its rate, batch and times are set.
        held_out: Token rows that are not trained on; of a short time fewer of them are used.
        dtypes: Dtypes that weights will be stored in, by name; they are judged as these hold them,
            since a small step may be lost in a narrow dtype.
        closing: Seconds that the caller needs after the last judgement.
        status: Function that is called with what is being done.

    Raises:
        NothingTrained: The time is too short for a step.
    """
    status("measuring on held-out text")
    trainer.reserve = closing
    tokens, reading = _affordable(trainer, held_out)
    rows = held_out
    if reading:
        rows = held_rows(held_out, tokens, LEAST_HELD)
        if trainer.seconds_left < 2 * reading * rows.numel():
            raise NothingTrained
    judge = Judge(trainer.parent, rows, trainer.micro)
    start = trainer.spent()
    before = judge(trainer.child)
    if reading:
        trainer.reserve += 2 * (trainer.spent() - start)
    course = TrainingCourse(trainer, judging(trainer, judge, dtypes or {}), before)
    trainer.step_seconds = TRAINED * reading * trainer.batch * trainer.rows.shape[1]
    trials: tuple[LrTrial, ...] = ()
    if trainer.settings.learning_rate is None:
        status("finding the learning rate")
        trials = _find_rate(trainer, course, tokens)
    if reading:
        _fit_batch(trainer)
    course.every = every_tokens(
        tokens, rows.numel(), trainer.batch * trainer.rows.shape[1], trainer.rows.numel()
    )
    if trainer.done:
        raise NothingTrained
    trainer.begun = trainer.spent()
    return Ready(course=course, judge=judge, trials=trials)


def _affordable(trainer: Trainer, held_out: Tensor) -> tuple[float, float]:
    """Tokens that may be trained on, and the seconds in which both models read one.

    The seconds are 0 where minutes do not matter.
    """
    most = trainer.settings.most_tokens or math.inf
    if math.isinf(left := trainer.seconds_left):
        return most, 0.0
    if left <= 0:
        raise NothingTrained
    reading = token_seconds(
        lambda rows: judge(trainer.child, trainer.parent, rows, 1), held_out, left, trainer.spent
    )
    return min(most, trainer.seconds_left / (TRAINED * reading)), reading


def judging(trainer: Trainer, judge: Judge, dtypes: Mapping[str, Any]) -> Callable[[], HeldOut]:
    """Judges a trainer's child with its weights as they will be stored."""

    def judged() -> HeldOut:
        with trainer.masters.rounded(dtypes):
            return judge(trainer.child)

    return judged


def _find_rate(trainer: Trainer, course: TrainingCourse, tokens: float) -> tuple[LrTrial, ...]:
    """Set the trainer's rate, and how long its steps take, by trials of several rates."""
    left, start = trainer.seconds_left, trainer.spent()
    if left < math.inf and tokens < TESTED_TOKENS:
        trainer.rate = UNTESTED * trainer.settings.first_rate
        return ()
    count = min(len(trainer.rows), TEST_STEPS * trainer.batch)
    rows = trainer.rows[trainer.order.at(0, count)]
    parts = trial_parts(rows, tokens, trainer.batch, TEST_STEPS)
    seconds: list[float] = []

    def trial(rate: float) -> LrTrial:
        trial_start = trainer.spent()
        result = tried(trainer, course.judge, course.weights, parts, rate)
        seconds.append(trainer.spent() - trial_start)
        return result

    trials = search(
        trial,
        trainer.settings.first_rate,
        course.before.divergence.value,
        lambda: trainer.spent() - start > TEST_SHARE * left,
    )
    trainer.rate = best(trials).rate
    size = trainer.batch * trainer.rows.shape[1] / sum(part.numel() for part in parts)
    trainer.step_seconds = min(seconds) * size
    return trials


def _fit_batch(trainer: Trainer) -> None:
    """Make steps smaller where time gives few of them: fewer rows, and then shorter ones."""
    batch, seconds = trainer.batch, trainer.step_seconds
    share = min(1.0, trainer.timed_steps / LEAST_STEPS)
    trainer.batch = max(1, int(batch * share))
    trainer.step_seconds = seconds * trainer.batch / batch
    while trainer.timed_steps < FEW_STEPS and trainer.length >= 2 * SHORTEST:
        seconds = trainer.step_seconds
        trainer.shorten(trainer.length // 2)
        trainer.batch, trainer.step_seconds = 1, seconds / 2
