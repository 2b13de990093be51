"""The training of a healing: batches, clipping, the schedule, what must not move."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from healing_pairs import BLOCK, pair, rows, settings

from widthwise.cut import ModelWeights
from widthwise.errors import RunError
from widthwise.prune.healing import TrainingStep, distil, training
from widthwise.prune.healing.distilling import NothingTrained
from widthwise.prune.healing.lora import zero_neurons
from widthwise.prune.healing.master_weights import MasterWeights
from widthwise.prune.healing.settings import rate_at
from widthwise.prune.healing.text_blocks import EpochOrder
from widthwise.prune.healing.training import Trainer


@pytest.mark.parametrize("family", ["llama", "gemma2", "phi3"])
@pytest.mark.parametrize("hidden", [0.0, 0.5])
def test_a_child_comes_closer_to_its_parent(family: str, hidden: float) -> None:
    child, parent = pair(family)
    before = [p.detach().clone() for p in parent.parameters()]
    found = distil(child, parent, rows(), settings(hidden=hidden))
    assert len(found.curve) == 20
    assert found.curve[-1].tokens == 20 * 4 * BLOCK
    first, last = ([s.divergence for s in part] for part in (found.curve[:3], found.curve[-3:]))
    assert sum(last) < 0.8 * sum(first)
    if hidden:
        values = [step.unlikeness for step in found.curve]
        assert values[-1] < values[0]
        step = found.curve[4]
        assert step.loss == pytest.approx(step.divergence + hidden * step.unlikeness)
    else:
        assert found.curve[0].unlikeness is None
    for old, new in zip(before, parent.parameters(), strict=True):
        assert torch.equal(old, new)


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


def test_gradients_of_narrow_copies_are_added_up_in_float32() -> None:
    """bfloat16 itself rounds each part by 2^-9; adding 64 of them up in it would lose 10 times."""
    layer = torch.nn.Linear(4, 3, bias=False).bfloat16()
    masters = MasterWeights(layer)
    (weight,) = masters.weights.values()
    assert weight.dtype == torch.float32
    ones = torch.ones(1, 4, dtype=torch.bfloat16)
    for part in range(1, 513):
        (layer(ones).sum() * (1.0 if part == 1 else 2.0**-9)).backward()
    assert layer.weight.grad is None
    assert torch.equal(weight.grad, torch.full((3, 4), 1 + 511 * 2.0**-9))


def test_small_steps_are_not_lost_to_the_rounding_of_copies() -> None:
    """Steps of 1e-4 on a weight of 1, which bfloat16 holds to 2^-8: ten of them are 1e-3."""
    layer = torch.nn.Linear(1, 1, bias=False).bfloat16()
    torch.nn.init.ones_(layer.weight)
    masters = MasterWeights(layer)
    for _ in range(40):
        layer(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        masters.step(1e-4)
    (weight,) = masters.weights.values()
    assert float(weight.detach()) == pytest.approx(1 - 40e-4, abs=2e-4)  # and a decay of 40 x 1e-6
    assert float(layer.weight.detach()) == pytest.approx(1 - 40e-4, abs=2**-9)


def test_gradients_are_clipped_to_a_norm_of_one() -> None:
    layer = torch.nn.Linear(3, 1, bias=False)
    masters, norms = MasterWeights(layer), []
    for size in (100.0, 0.5):
        layer(torch.full((1, 3), size)).backward()
        norms.append(masters.step(1e-3))
    assert norms == pytest.approx([100 * 3**0.5, 0.5 * 3**0.5])
    first = masters.state()["exp_avg:weight"]
    clipped, whole = 3**-0.5, 0.5
    assert first.flatten().tolist() == pytest.approx([0.9 * 0.1 * clipped + 0.1 * whole] * 3)


def test_norms_do_not_decay() -> None:
    child, _ = pair()
    groups = MasterWeights(child)._adam.param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert {p.ndim for p in groups[1]["params"]} == {1}
    assert {p.ndim for p in groups[0]["params"]} == {2}


@pytest.mark.parametrize("family", ["llama", "phi3"])
def test_padding_stays_zero(family: str) -> None:
    """Neurons of zeros get no gradient: what they write is multiplied by zero on both sides."""
    child, parent = pair(family)
    architecture = ModelWeights(child).architecture
    dead = torch.tensor([3, 4, 19])
    with torch.no_grad():
        for name, cut in architecture.cuts.items():
            index = torch.cat([dead + part * 20 for part in range(cut.parts)])
            child.get_parameter(name).index_fill_(cut.axis, index, 0)
    distil(child, parent, rows(), settings())
    masks = zero_neurons(dict(child.named_parameters()), architecture)
    assert all(mask.nonzero()[:, 0].tolist() == dead.tolist() for mask in masks.values())


def test_the_text_is_gone_through_whole_before_it_begins_again() -> None:
    order, seen = EpochOrder(7, seed=1), []
    for start in range(0, 21, 3):
        seen += order.at(start, 3).tolist()
    epochs = [seen[i : i + 7] for i in (0, 7, 14)]
    assert all(Counter(epoch) == Counter(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert EpochOrder(7, seed=1).at(10, 5).tolist() == seen[10:15]  # from anywhere, without the way
    assert EpochOrder(7, seed=2).at(0, 7).tolist() != epochs[0]


def test_the_last_batch_ends_where_the_tokens_end() -> None:
    child, parent = pair()
    curve = distil(child, parent, rows(), settings(tokens=10 * BLOCK)).curve
    assert [step.tokens // BLOCK for step in curve] == [4, 8, 10]
    middles = [2 / 10, 6 / 10, 9 / 10]  # the rate of a step is that of its middle
    expected = [rate_at(share, 3e-3) for share in middles]
    assert [step.learning_rate for step in curve] == pytest.approx(expected)


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


def test_minutes_that_suffice_change_nothing() -> None:
    curves = []
    for minutes in (None, 60.0):
        child, parent = pair()
        curve = distil(child, parent, rows(), settings(minutes=minutes)).curve
        curves.append([(step.loss, step.tokens) for step in curve])
    assert len(curves[1]) == len(curves[0]) == 20


def test_no_time_for_a_step_is_an_error_and_changes_nothing() -> None:
    child, parent = pair()
    before = [p.detach().clone() for p in child.parameters()]
    with pytest.raises(NothingTrained):
        distil(child, parent, rows(), settings(minutes=1e-6))
    for old, new in zip(before, child.parameters(), strict=True):
        assert torch.equal(old, new)


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


def test_a_model_without_a_trained_parameter_is_told() -> None:
    child, parent = pair()
    with pytest.raises(RunError, match="nothing to train"):
        distil(child.requires_grad_(False), parent, rows(), settings())


def test_the_schedule_at_its_ends() -> None:
    assert rate_at(0.0, 1.0) == 1.0
    assert rate_at(0.0, 1.0, warmed=0.5) == 0.5
    assert rate_at(1.0, 1.0) == pytest.approx(0.05)
    assert rate_at(2.0, 1.0) == pytest.approx(0.05)
