"""What a healing can afford in the time it has, and all that comes before its first step.

Of the time that loading leaves about a tenth goes into judging, at most 15 % into the test of
rates, the rest into training. Costs are counted in tokens; where minutes matter, the pace is timed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import RunError
from .course import TrainingCourse
from .learning_rate import TEST_STEPS, best, search, tried
from .loss import Judge
from .record import LrTrial
from .text_blocks import LEAST_HELD
from .training import Trainer

TRAINED = 2.5  # cost of a token trained on, compared with one that both models only read, about
LEAST_HELD_TOKENS, LEAST_TEST_TOKENS = 32, 64  # of a row, however short the time
HELD_PART = 50  # one token held out for so many trained on: about 20 judgements are a tenth
JUDGEMENTS = 20  # at most, while training
TEST_PART = 150  # one token in a step of the test of rates for so many trained on
TIMED_SHARE = 0.005  # of the time: a timing that took less is too short to go by
TEST_SHARE = 0.15  # of the time that is left: then no further rate is tried
TESTED_TOKENS = 2500  # where time gives fewer to train on, none is left for a test of rates
UNTESTED = 0.1  # times the first rate: what is taken then
LEAST_STEPS = 24  # where time gives fewer steps of the batch asked for, batches get smaller
FEW_STEPS, SHORTEST = 6, 64  # steps and tokens: where not even so many of one row fit, rows are cut


class NothingTrained(RunError):
    """There was no time for a single step."""

    def __init__(self) -> None:
        super().__init__("nothing was trained: there was no time for a step; give more minutes")


def prepare(
    trainer: Trainer,
    held_out: Tensor,
    *,
    dtypes: Mapping[str, Any] | None = None,
    closing: float = 0.0,
    status: Callable[[str], None] = lambda _: None,
) -> TrainingCourse:
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
    if reading:
        held_out = held_rows(held_out, tokens, LEAST_HELD)
        if trainer.seconds_left < 2 * reading * held_out.numel():
            raise NothingTrained
    judge = Judge(trainer.parent, held_out, trainer.micro)
    start = trainer.spent()
    before = judge(trainer.child)
    if reading:
        trainer.reserve += 2 * (trainer.spent() - start)
    course = TrainingCourse(trainer, judge, before, dtypes)
    trainer.step_seconds = TRAINED * reading * trainer.batch * trainer.rows.shape[1]
    if trainer.settings.learning_rate is None:
        status("finding the learning rate")
        _find_rate(course, tokens)
    if reading:
        _fit_batch(trainer)
    course.every = every_tokens(
        tokens, held_out.numel(), trainer.batch * trainer.rows.shape[1], trainer.rows.numel()
    )
    if trainer.done:
        raise NothingTrained
    trainer.begun = trainer.spent()
    return course


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
        lambda rows: Judge(trainer.parent, rows, 1)(trainer.child), held_out, left, trainer.spent
    )
    return min(most, trainer.seconds_left / (TRAINED * reading)), reading


def _find_rate(course: TrainingCourse, tokens: float) -> None:
    """Set the trainer's rate, and how long its steps take, by trials of several rates."""
    trainer = course.trainer
    left, start = trainer.seconds_left, trainer.spent()
    if left < math.inf and tokens < TESTED_TOKENS:
        course.learning_rate = trainer.rate = UNTESTED * trainer.settings.first_rate
        return
    count = min(len(trainer.rows), TEST_STEPS * trainer.batch)
    parts = trial_parts(trainer.rows_from(0, count), tokens, trainer.batch, TEST_STEPS)
    seconds: list[float] = []

    def trial(rate: float) -> LrTrial:
        trial_start = trainer.spent()
        result = tried(trainer, course.judged, course.weights, parts, rate)
        seconds.append(trainer.spent() - trial_start)
        return result

    course.trials = search(
        trial,
        trainer.settings.first_rate,
        course.before.divergence.value,
        lambda: trainer.spent() - start > TEST_SHARE * left,
    )
    course.learning_rate = trainer.rate = best(course.trials).rate
    size = trainer.batch * trainer.rows.shape[1] / sum(part.numel() for part in parts)
    trainer.step_seconds = min(seconds) * size


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


def token_seconds(
    run: Callable[[Tensor], object], rows: Tensor, seconds: float, clock: Callable[[], float]
) -> float:
    """How long both models take to read a token, timed on ever longer parts of a few rows.

    Args:
        run: Function that runs both models over token rows.
        rows: Token rows, shape (rows, tokens).
        seconds: Time that there is for everything.
        clock: Function that gives the seconds on the clock.
    """
    length = min(rows.shape[1], LEAST_HELD_TOKENS)
    run(rows[:1, :length])  # the first pass also brings the weights into memory
    while True:
        part = rows[:1, :length]
        start = clock()
        run(part)
        took = clock() - start
        if took > TIMED_SHARE * seconds or length == rows.shape[1]:
            return took / part.numel()
        length = min(2 * length, rows.shape[1])


def held_rows(rows: Tensor, tokens: float, least: int) -> Tensor:
    """As much of the rows held out as a training of so many tokens can afford to be judged on.

    Fewer rows first, spread evenly; when there are only `least` of them, shorter ones.

    Args:
        rows: All rows that are held out, shape (rows, tokens).
        tokens: Tokens that will be trained on.
        least: Rows that stay however short the time.
    """
    count, length = rows.shape
    most = tokens / HELD_PART
    kept = max(min(least, count), min(count, int(most / length)))
    chosen = spread(rows, kept)
    if kept * length <= most:
        return chosen
    short = max(min(length, LEAST_HELD_TOKENS), min(length, int(most / kept)))
    return chosen[:, :short]


def every_tokens(tokens: float, held: int, batch: int, text: int) -> int:
    """Tokens to train on between two judgements.

    Args:
        tokens: Tokens that will be trained on in all.
        held: Tokens held out.
        batch: Tokens of a step.
        text: Tokens of the text; of a short one a judgement comes twice on each way through it.
    """
    affordable = held * HELD_PART / JUDGEMENTS
    return int(max(batch, affordable, min(tokens / JUDGEMENTS, text / 2)))


def trial_parts(rows: Tensor, tokens: float, batch: int, steps: int) -> list[Tensor]:
    """Token rows for the steps of one trial of the test of rates.

    Args:
        rows: Rows to train on, shape (rows, tokens), in the order of the training.
        tokens: Tokens that will be trained on in all.
        batch: Rows of a step of the training.
        steps: Steps of a trial.
    """
    length = rows.shape[1]
    affordable = int(tokens / TEST_PART)
    count = max(1, min(batch, len(rows) // steps, affordable // length))
    short = max(min(length, LEAST_TEST_TOKENS), min(length, affordable))
    return [rows[i * count : (i + 1) * count, :short] for i in range(steps)]


def spread(rows: Tensor, count: int) -> Tensor:
    """So many of the rows, evenly spread over them."""
    return rows[torch.arange(count) * len(rows) // count]
