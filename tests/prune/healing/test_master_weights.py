"""Weights in float32 beside narrow copies: gradients, clipping, steps, decay."""

from __future__ import annotations

import pytest
import torch
from healing_pairs import pair

from widthwise.prune.healing.master_weights import MasterWeights


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
