"""Networks whose outputs move with a known power of the width."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from widthwise.mup import CoordinateCheck, TrainingSetup, coordinate_check


def planted(power: float, noise: float = 0.02, start: float = 0.0, outputs: int | None = 1) -> Any:
    """A network whose one layer moves by the width to a power, give or take some noise.

    Args:
        start: Power of the width that its output has before training.
        outputs: Its width; None for that of the network.
    """

    def make(width: int, seed: int) -> TrainingSetup:
        layer = nn.Linear(1, outputs or width, bias=False)
        spread = float(torch.randn((), generator=torch.Generator().manual_seed(seed)))
        nn.init.constant_(layer.weight, width**start * (1 + noise * spread))
        lr = width**power * (1 + noise * spread)
        model = nn.Sequential(layer)
        return TrainingSetup(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=lr),
            loss=lambda: model(torch.ones(1, 1)).sum(),
        )

    return make


def checked(
    power: float, noise: float = 0.02, start: float = 0.0, outputs: int | None = 1, **changes: Any
) -> CoordinateCheck:
    asked = {"widths": (16, 32, 64, 128), "seeds": 3, "steps": 2, **changes}
    return coordinate_check(planted(power, noise, start, outputs), **asked)
