"""A trainer: batches, the schedule, clocks, and numbers that are not finite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from healing_pairs import BLOCK, pair, rows, settings

from widthwise.errors import RunError
from widthwise.prune.healing import TrainingStep, training
from widthwise.prune.healing.training import Trainer


def gradient_of(micro: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """What a batch of four blocks adds up to, in parts."""
    child, parent = pair()
    child, parent = child.to(dtype), parent.to(dtype)
    trainer = Trainer(child, parent, rows(), settings(micro_tokens=micro * BLOCK))
    caught: dict[str, torch.Tensor] = {}

    def catch(_: float) -> float:
        caught.update({n: w.grad.clone() for n, w in trainer.masters.weights.items()})
        return 1.0

    trainer.masters.step = catch  # type: ignore[method-assign]
    trainer.step()
    return caught


@pytest.mark.parametrize("micro", [1, 3])
def test_parts_of_a_batch_add_up_to_the_batch(micro: int) -> None:
    """In float64, so up to some thousand roundings of 1e-16; three blocks and one, too."""
    whole, parts = gradient_of(4, torch.float64), gradient_of(micro, torch.float64)
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        assert float(gradient.abs().max()) > 0
        torch.testing.assert_close(parts[name], gradient, rtol=1e-9, atol=1e-13)


def test_the_rate_rises_for_ten_steps_and_ends_low() -> None:
    child, parent = pair()
    trainer = Trainer(child, parent, rows(), settings(tokens=100 * 4 * BLOCK))
    while not trainer.done:
        trainer.step()
    rates = [step.learning_rate for step in trainer.curve]
    top = rates.index(max(rates))
    assert top == 9
    assert rates[top] == pytest.approx(3e-3, rel=0.03)  # a cosine that has begun to fall
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.05 * 3e-3, rel=0.02)


class Clock:
    """Seconds that pass with every look: a step of training looks five times or so."""

    def __init__(self, pace: float) -> None:
        self.now, self.pace = 0.0, pace

    def __call__(self) -> float:
        self.now += self.pace
        return self.now


@pytest.mark.parametrize("tokens", [None, 10**9])
def test_when_minutes_end_the_rate_is_low_and_no_step_runs_over(tokens: int | None) -> None:
    child, parent = pair()
    clock = Clock(0.25)
    chosen = settings(tokens=tokens, minutes=1.0)
    trainer = Trainer(child, parent, rows(), chosen, spent=clock)
    trainer.reserve = 20.0
    while not trainer.done:
        trainer.step()
    assert 35 < trainer.curve[-1].seconds <= 40  # 60 less the reserve
    assert trainer.curve[-1].learning_rate < 0.08 * 3e-3
    assert max(step.learning_rate for step in trainer.curve) > 0.75 * 3e-3  # after the warm-up


@pytest.mark.parametrize("reserve", [59.9, 60.0, 1e4])
def test_the_share_of_the_way_is_one_where_no_time_was_left(reserve: float) -> None:
    """Less than nothing was left after a slow load; the share was a number of 13 digits then."""
    child, parent = pair()
    trainer = Trainer(child, parent, rows(), settings(minutes=1.0), spent=lambda: 61.0)
    trainer.reserve = reserve
    assert trainer.share == 1.0
    assert trainer.done


def test_steps_get_slower_and_the_rate_still_ends_low() -> None:
    """Ten times slower from the middle on: shares of the time, not numbers of steps, decide."""
    child, parent = pair()
    clock = Clock(0.05)
    trainer = Trainer(child, parent, rows(), settings(tokens=None, minutes=1.0), spent=clock)
    while not trainer.done:
        trainer.step()
        if clock.now > 30:
            clock.pace = 0.5
    assert trainer.curve[-1].seconds <= 60 + 0.5  # a look at the clock is no part of a step
    assert trainer.curve[-1].learning_rate < 0.08 * 3e-3


def test_a_loss_that_is_not_finite_ends_it_before_a_weight_is_touched(monkeypatch: Any) -> None:
    child, parent = pair()
    trainer = Trainer(child, parent, rows(), settings())
    trainer.step()
    before = [p.detach().clone() for p in child.parameters()]
    monkeypatch.setattr(training, "divergence", lambda own, *_: own.sum() * math.nan)
    with pytest.raises(
        RunError, match=r"step 2: the loss is nan .* lower learning rate than 0\.003"
    ):
        trainer.step()
    for old, new in zip(before, child.parameters(), strict=True):
        assert torch.equal(old, new)
    assert len(trainer.curve) == 1


def test_a_gradient_that_is_not_finite_ends_it_too(monkeypatch: Any) -> None:
    child, parent = pair()
    trainer = Trainer(child, parent, rows(), settings())
    before = [p.detach().clone() for p in child.parameters()]
    monkeypatch.setattr(training, "divergence", lambda own, *_: (own.sum() * 0).sqrt())
    with pytest.raises(RunError, match="its gradient nan"):
        trainer.step()
    for old, new in zip(before, child.parameters(), strict=True):
        assert torch.equal(old, new)


def test_a_batch_that_is_stopped_in_its_middle_is_as_if_it_had_not_been() -> None:
    results = []
    for stop in (False, True):
        child, parent = pair()
        trainer = Trainer(child, parent, rows(), settings(micro_tokens=BLOCK))
        trainer.step()
        if stop:
            answers = iter([False, False, True])
            assert trainer.step(lambda answers=answers: next(answers)) is None
        results.append([trainer.step(), [p.detach().clone() for p in child.parameters()]])
    assert isinstance(results[0][0], TrainingStep)
    assert results[0][0].loss == results[1][0].loss
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(one, other)
