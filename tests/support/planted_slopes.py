"""Networks whose outputs move with a known power of the width."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from widthwise.mup import CoordinateCheck, TrainingSetup, coordinate_check


def planted(power: float, noise: float = 0.02) -> Any:
    """A network whose one layer moves by the width to a power, give or take some noise."""

    def start(width: int, seed: int) -> TrainingSetup:
        layer = nn.Linear(1, 1, bias=False)
        spread = float(torch.randn((), generator=torch.Generator().manual_seed(seed)))
        lr = width**power * (1 + noise * spread)
        model = nn.Sequential(layer)
        return TrainingSetup(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=lr),
            loss=lambda: model(torch.ones(1, 1)).sum(),
        )

    return start


def checked(power: float, noise: float = 0.02, **changes: Any) -> CoordinateCheck:
    asked = {"widths": (16, 32, 64, 128), "seeds": 3, "steps": 2, **changes}
    return coordinate_check(planted(power, noise), **asked)
