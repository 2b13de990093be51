"""The inner loop is that of autograd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from maml_networks import EXACT, STEP, batches, random_weights
from torch.nn.functional import cross_entropy

from widthwise.experiments.maml import (
    Omniglot,
)
from widthwise.experiments.maml.data import Episodes
from widthwise.experiments.maml.networks import (
    WeightNetwork,
)


def torch_step(net: WeightNetwork, batch: Episodes, inner_steps: int) -> tuple[Any, Any, float]:
    """The same step by autograd, task by task, the weights themselves adapted."""
    start = [torch.tensor(w) for w in (net.first, net.readout)]
    total = [torch.zeros_like(w) for w in start]
    labels = torch.arange(5)

    def gradients(weights: list[torch.Tensor], images: np.ndarray) -> Any:
        leaves = [w.detach().requires_grad_() for w in weights]
        logits = torch.tensor(images) @ leaves[0].T @ leaves[1].T
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


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_a_step_is_that_of_autograd(data: Omniglot, inner_steps: int) -> None:
    net = random_weights(7)
    for batch in batches(data, 3):
        first, readout, norm = torch_step(net, batch, inner_steps)
        assert net.meta_step(batch, inner_steps=inner_steps, **STEP) == pytest.approx(norm)
        np.testing.assert_allclose(net.first, first, atol=EXACT)
        np.testing.assert_allclose(net.readout, readout, atol=EXACT)
    assert norm > STEP["clip"]  # so that clipping was seen
