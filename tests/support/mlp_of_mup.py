"""The MLP of the mup package's example, small, with weights that any library can set alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

INPUTS, OUTPUTS, BASE, DELTA, WIDTH, STEPS = 7, 5, 8, 13, 32, 4
LR = {"sgd": 0.2, "adam": 0.02}


class Mlp(nn.Module):
    """fc_1, fc_2 and fc_3 without biases and relu between them."""

    def __init__(self, width: int, readout: Callable[..., nn.Module] = nn.Linear) -> None:
        super().__init__()
        self.fc_1 = nn.Linear(INPUTS, width, bias=False)
        self.fc_2 = nn.Linear(width, width, bias=False)
        self.fc_3 = readout(width, OUTPUTS, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc_3(torch.relu(self.fc_2(torch.relu(self.fc_1(x)))))  # type: ignore[no-any-return]


def normals() -> dict[str, torch.Tensor]:
    """Standard normal numbers for every weight, by a generator that never changes."""
    random = np.random.RandomState(3)
    shapes = {"fc_1": (WIDTH, INPUTS), "fc_2": (WIDTH, WIDTH), "fc_3": (OUTPUTS, WIDTH)}
    return {f"{name}.weight": torch.tensor(random.randn(*shape)) for name, shape in shapes.items()}


def coordinates(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[list[float]]:
    """Mean absolute output of every layer before each step and after the last: rows are steps."""
    random = np.random.RandomState(4)
    x, y = (torch.tensor(random.randn(11, size)) for size in (INPUTS, OUTPUTS))
    found: list[list[float]] = []
    hooks = [
        layer.register_forward_hook(lambda *a: found[-1].append(float(a[2].detach().abs().mean())))
        for layer in layers_of(model)
    ]
    for _ in range(STEPS + 1):
        found.append([])
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
    for hook in hooks:
        hook.remove()
    return found


def layers_of(model: Any) -> Iterable[nn.Module]:
    return (model.fc_1, model.fc_2, model.fc_3)
