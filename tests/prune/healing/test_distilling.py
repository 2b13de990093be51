"""A healing in memory: the child comes closer, and never ends worse than it began."""

from __future__ import annotations

import pytest
import torch
from families import VOCAB
from healing_pairs import BLOCK, pair, rows, settings

from widthwise.errors import RunError
from widthwise.prune.healing import distil
from widthwise.prune.healing.budget import NothingTrained
from widthwise.prune.healing.loss import Judge
from widthwise.prune.healing.settings import rate_at


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


def test_the_last_batch_ends_where_the_tokens_end() -> None:
    child, parent = pair()
    curve = distil(child, parent, rows(), settings(tokens=10 * BLOCK)).curve
    assert [step.tokens // BLOCK for step in curve] == [4, 8, 10]
    middles = [2 / 10, 6 / 10, 9 / 10]  # the rate of a step is that of its middle
    expected = [rate_at(share, 3e-3) for share in middles]
    assert [step.learning_rate for step in curve] == pytest.approx(expected)


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
    with pytest.raises(NothingTrained, match="no time for a step; give more minutes"):
        distil(child, parent, rows(), settings(minutes=1e-6))
    for old, new in zip(before, child.parameters(), strict=True):
        assert torch.equal(old, new)


def test_a_model_without_a_trained_parameter_is_told() -> None:
    child, parent = pair()
    with pytest.raises(RunError, match="nothing to train"):
        distil(child.requires_grad_(False), parent, rows(), settings())


@pytest.mark.parametrize("rate", [None, 1e-6, 0.3, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_no_rate_makes_a_model_worse(family: str, dtype: torch.dtype, rate: float | None) -> None:
    child, parent = (model.to(dtype) for model in pair(family))
    other = torch.randint(3, VOCAB, (6, BLOCK), generator=torch.Generator().manual_seed(9))
    before = Judge(parent, other, 6)(child).divergence.value
    asked = settings(learning_rate=rate, tokens=30 * 4 * BLOCK)
    found = distil(child, parent, rows(), asked, held_out=other)
    after = Judge(parent, other, 6)(child).divergence.value
    assert found.before.divergence.value == before
    assert after == found.after.divergence.value <= before
    if rate is None:
        assert after < 0.95 * before
        assert found.trials
    if found.best_step == 0:
        assert after == before


def test_little_text_ends_by_itself() -> None:
    """Six random rows are learned by heart, and others get worse."""
    child, parent = pair()
    found = distil(child, parent, rows(), settings(tokens=4000 * BLOCK))
    assert len(found.curve) < 1000
    assert 0 < found.best_step < len(found.curve) - 9
    judged = [step.held_out for step in found.curve if step.held_out is not None]
    assert found.after.divergence.value == min(judged) < found.before.divergence.value
