"""Losses whose best learning rate is known."""

from __future__ import annotations

from math import log2

import numpy as np

from widthwise.experiments.lr_transfer import (
    OptimumShift,
    TrainingRun,
    optimum_shifts,
)

RATES = tuple(2.0**k for k in range(-8, -2))


def planted(
    power: float,
    *,
    noise: float = 0.0,
    middle: float = -5.3,
    rates: tuple[float, ...] = RATES,
    diverged: tuple[float, ...] = (),
) -> OptimumShift:
    """Parabolas over log2 of the rate whose lowest point goes as a power of the width."""
    random = np.random.default_rng(1)
    runs = []
    for seed in range(4):
        for width in (64, 128, 256):
            best = middle + power * log2(width / 64) + noise * random.standard_normal()
            for rate in rates:
                gone = rate in diverged
                runs.append(
                    TrainingRun(
                        kind="mup", width=width, lr=rate, seed=seed,
                        loss=None if gone else 2 + 0.1 * (log2(rate) - best) ** 2 + 0.3 * seed,
                        reason="training diverged" if gone else None, duration_sec=1.0,
                    )
                )  # fmt: skip
    (found,) = optimum_shifts(runs)
    return found
