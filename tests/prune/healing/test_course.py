"""A course of training: its best state, going back, and the test of rates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from healing_pairs import BLOCK, pair, rows, settings

from widthwise.errors import RunError
from widthwise.prune.healing import HeldOut, LrTrial, training
from widthwise.prune.healing.course import TrainingCourse
from widthwise.prune.healing.heldout import Blockwise
from widthwise.prune.healing.learning_rate import FACTOR, best, search, tried
from widthwise.prune.healing.loss import Judge
from widthwise.prune.healing.training import Trainer

RATE = 3e-3


def held(value: float) -> HeldOut:
    return HeldOut(blocks=Blockwise(divergence=(value,) * 2, child=(1.0,) * 2, parent=(1.0,) * 2))


class Answers:
    """Judges by these values, one after another."""

    rows = torch.zeros(2, BLOCK)

    def __init__(self, values: list[float]) -> None:
        self._left: Iterator[float] = iter(values)

    def __call__(self, child: Any) -> HeldOut:
        return held(next(self._left))


def course(values: list[float], **changes: Any) -> TrainingCourse:
    """One that is judged after each step, by these values, from 1.0 on."""
    child, parent = pair()
    trainer = Trainer(child, parent, rows(), settings(**changes))
    return TrainingCourse(trainer, Answers(values), held(1.0))


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.masters.weights.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_state_is_what_remains() -> None:
    run = course([0.9, 0.7, 0.8], tokens=3 * 4 * BLOCK)
    states = []
    while not run.ended:
        run.step()
        states.append(weights(run.trainer))
    run.finish()
    assert [step.held_out for step in run.trainer.curve] == [0.9, 0.7, 0.8]
    assert (run.best_step, run.best.divergence.value, run.ended) == (2, 0.7, "whole")
    assert same(weights(run.trainer), states[1])
    assert not same(states[1], states[2])


def test_three_judgements_without_a_better_one_send_it_back_and_the_third_time_ends_it() -> None:
    run = course([0.5] + 9 * [0.55], tokens=10**6)
    run.step()
    first = weights(run.trainer)
    rates = []
    while not run.ended:
        run.step()
        rates.append(run.trainer.rate)
        if len(rates) % 3 == 0:
            assert same(weights(run.trainer), first)
    assert rates == [RATE] * 2 + [RATE / 4] * 3 + [RATE / 16] * 3 + [RATE / 64]
    assert (run.ended, run.went_back, len(run.trainer.curve)) == ("rising", 3, 10)


def test_a_better_state_gives_it_two_more_chances() -> None:
    run = course([2.0, 2.0, 0.5, 2.0, 2.0, 2.0], tokens=10**6)
    for _ in range(5):
        run.step()
    assert run.ended is None
    run.step()
    assert run.ended == "rising"


@pytest.mark.parametrize("value", [1.3, math.nan])
def test_a_judgement_much_worse_sends_it_back_at_once(value: float) -> None:
    run = course([value, 0.9])
    before = weights(run.trainer)
    run.step()
    assert same(weights(run.trainer), before)
    assert run.trainer.rate == RATE / 4
    assert run.trainer.curve[0].held_out == (value if math.isfinite(value) else None)
    step = run.step()
    assert step is not None
    assert step.learning_rate < RATE / 4  # warmed up anew


def test_a_loss_that_is_not_finite_sends_it_back_unless_the_best_weights_have_it(
    monkeypatch: Any,
) -> None:
    run = course([0.5, 0.4])
    run.step()
    good = weights(run.trainer)
    run.step()
    with monkeypatch.context() as patched:
        patched.setattr(training, "divergence", lambda own, *_: own.sum() * math.nan)
        assert run.step() is None
        assert run.trainer.rate == RATE / 4
        assert not same(weights(run.trainer), good)  # the second step was the best
        with pytest.raises(RunError, match="the loss is nan"):
            run.step()


def test_losses_that_run_away_are_judged_before_it_is_due() -> None:
    run = course([9.0], learning_rate=1.0, tokens=10**6)
    run.every = 10**9
    for _ in range(12):
        run.step()
        if run.went_back:
            break
    assert run.went_back == 1
    assert len(run.trainer.curve) <= 6


def test_a_state_that_was_loaded_goes_on_as_if_nothing_had_been() -> None:
    values = [0.5, 0.55, 0.6, 0.6, 0.45, 0.46, 0.47, 0.48]
    ends = []
    for stop in (None, 0, 1, 2, 4, 6):  # before, at, after the best; before and after going back
        run, left = course(values, tokens=8 * 4 * BLOCK), list(values)
        while not run.ended:
            if stop is not None and len(run.trainer.curve) == stop:
                stop = None
                tensors, facts = run.state()
                tensors = {name: value.clone() for name, value in tensors.items()}
                run = course(list(left), tokens=8 * 4 * BLOCK)
                run.load(tensors, facts)
            run.step()
            left.pop(0)
        run.finish()
        ends.append((run.state()[1]["curve"], run.best_step, run.went_back, weights(run.trainer)))
    for end in ends[1:]:
        assert [{**s, "seconds": 0} for s in end[0]] == [{**s, "seconds": 0} for s in ends[0][0]]
        assert end[1:3] == ends[0][1:3] == (5, 2)
        assert same(end[3], ends[0][3])


def valley(centre: float) -> Any:
    """Trials whose divergence is least at a rate, worse than nothing far above it."""

    def trial(rate: float) -> LrTrial:
        off = math.log10(rate / centre)
        value = 1 - 0.2 * math.exp(-(off**2)) + (max(0.0, off - 0.5) ** 2)
        return LrTrial(rate=rate, divergence=value if off < 2 else None)

    return trial


@pytest.mark.parametrize("centre", [1e-6, 1e-5, 5e-5, 1e-4, 4e-4, 1e-3, 1e-2])
def test_the_rate_is_found_within_half_a_decade_below_or_above(centre: float) -> None:
    trials = search(valley(centre), 1e-4, 1.0, lambda: False)
    assert len(trials) <= 7
    assert 1 / 3.2 < best(trials).rate / centre <= FACTOR + 1e-9


def test_no_rate_is_tried_when_the_time_for_it_is_over() -> None:
    trials = search(valley(1e-2), 1e-4, 1.0, lambda: True)
    assert len(trials) == 2


def test_where_no_trial_is_finite_the_lowest_rate_is_taken() -> None:
    trials = search(lambda rate: LrTrial(rate=rate, divergence=None), 1e-4, 1.0, lambda: False)
    assert best(trials).rate == min(trial.rate for trial in trials) < 1e-6


def test_a_trial_leaves_no_trace() -> None:
    child, parent = pair()
    trainer = Trainer(child, parent, rows(), settings())
    before = weights(trainer)
    parts = list(rows().split(2))[:4]
    found = [
        tried(trainer, lambda: Judge(parent, rows(4, 7), 4)(child), before, parts, rate)
        for rate in (3e-3, 1e30, 3e-3)
    ]
    assert found[0] == found[2]
    assert found[1].divergence is None
    assert same(weights(trainer), before)
    assert set(trainer.masters.state()) == {f"weight:{name}" for name in before}
