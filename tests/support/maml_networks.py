"""Batches of tasks, and networks with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny_omniglot
import torch
from torch.nn.functional import cross_entropy

from widthwise.experiments.maml import (
    Omniglot,
)
from widthwise.experiments.maml.data import Episodes, draw_tasks
from widthwise.experiments.maml.networks import (
    WeightNetwork,
)
from widthwise.experiments.maml.relu_network import ReluNetwork

PIXELS = tiny_omniglot.SIDE**2


STEP = {"inner_lr": 0.4, "lr": 0.3, "clip": 0.5}


EXACT = 1e-10  # float64 after a few steps


def batches(
    data: Omniglot, number: int, tasks: int = 4, bias: float = 0.7, ways: int = 5, shots: int = 1
) -> list[Episodes]:
    rng = np.random.default_rng(5)
    kind = {"bias": bias, "ways": ways, "shots": shots, "dtype": np.float64}
    return [draw_tasks(data.train, tasks, rng, **kind) for _ in range(number)]


def random_weights(width: int, seed: int = 1, ways: int = 5) -> WeightNetwork:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(width, PIXELS + 1)) * 0.4
    return WeightNetwork(first, rng.normal(size=(ways, width)) * 0.4)


def torch_step(
    net: WeightNetwork | ReluNetwork, batch: Episodes, inner_steps: int
) -> tuple[Any, Any, float]:
    """The same step by autograd, task by task, the weights themselves adapted."""
    start = [torch.tensor(w) for w in (net.first, net.readout)]
    total = [torch.zeros_like(w) for w in start]
    ways = len(net.readout)

    def gradients(weights: list[torch.Tensor], images: np.ndarray) -> Any:
        leaves = [w.detach().requires_grad_() for w in weights]
        hidden = torch.tensor(images) @ leaves[0].T
        logits = (hidden.relu() if isinstance(net, ReluNetwork) else hidden) @ leaves[1].T
        labels = torch.arange(ways).repeat_interleave(len(images) // ways)
        return torch.autograd.grad(cross_entropy(logits, labels), leaves)

    for support, query in zip(batch.support, batch.query, strict=True):
        adapted = start
        for _ in range(inner_steps):
            moves = gradients(adapted, support)
            adapted = [w - STEP["inner_lr"] * g for w, g in zip(adapted, moves, strict=True)]
        total = [t + g for t, g in zip(total, gradients(adapted, query), strict=True)]
    norm = float(torch.sqrt(sum(t.square().sum() for t in total)))
    rate = STEP["lr"] * min(1.0, STEP["clip"] / norm)
    return *(w - rate * t for w, t in zip(start, total, strict=True)), norm


def check_step(net: WeightNetwork | ReluNetwork, batch: Episodes, inner_steps: int) -> None:
    """One step of a network is that of autograd, and so clipped."""
    first, readout, norm = torch_step(net, batch, inner_steps)
    assert net.meta_step(batch, inner_steps=inner_steps, **STEP) == pytest.approx(norm)
    np.testing.assert_allclose(net.first, first, atol=EXACT)
    np.testing.assert_allclose(net.readout, readout, atol=EXACT)
    assert norm > STEP["clip"]  # so that clipping was seen
