"""Batches of tasks, and networks with random weights."""

from __future__ import annotations

import numpy as np
import tiny_omniglot

from widthwise.experiments.maml import (
    Omniglot,
)
from widthwise.experiments.maml.data import Episodes, draw_tasks
from widthwise.experiments.maml.networks import (
    WeightNetwork,
)

PIXELS = tiny_omniglot.SIDE**2


STEP = {"inner_lr": 0.4, "lr": 0.3, "clip": 0.5}


EXACT = 1e-10  # float64 after a few steps


def batches(data: Omniglot, number: int, tasks: int = 4, bias: float = 0.7) -> list[Episodes]:
    rng = np.random.default_rng(5)
    return [draw_tasks(data.train, tasks, rng, bias=bias, dtype=np.float64) for _ in range(number)]


def random_weights(width: int, seed: int = 1) -> WeightNetwork:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(width, PIXELS + 1)) * 0.4
    return WeightNetwork(first, rng.normal(size=(5, width)) * 0.4)
