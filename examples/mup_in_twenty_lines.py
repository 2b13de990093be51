"""The best learning rate of a narrow network stays the best one of a wide network, with muP.

    python examples/mup_in_twenty_lines.py

Trains a network of three layers on scikit-learn's images of digits, at three widths and eight
learning rates, in the standard parametrization (sp) and in muP, and prints the best learning rate
of each width. At width 32, the base, both parametrizations are the same.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

from widthwise.mup import initial_stds, parametrize

BASE, WIDTHS = 32, (32, 128, 512)
RATES = [2.0**power for power in range(-10, -2)]
SEEDS = 3


def network(width: int) -> nn.Module:
    hidden = [nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def final_loss(width: int, rate: float, kind: str, seed: int) -> float:
    torch.manual_seed(seed)
    model, base = network(width), network(BASE)
    mup = parametrize(model, base=base, delta=network(2 * BASE), kind=kind)
    mup.init_(model, initial_stds(base))
    optimizer = torch.optim.AdamW(mup.groups(model, lr=rate))
    digits, labels = (torch.tensor(array[:300]) for array in load_digits(return_X_y=True))
    for _ in range(10):
        loss = nn.functional.cross_entropy(model(digits.float() / 16), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def best_rates(kind: str) -> list[float]:
    """For each width the learning rate with the lowest mean loss over seeds."""
    return [
        min(RATES, key=lambda rate: sum(final_loss(width, rate, kind, s) for s in range(SEEDS)))
        for width in WIDTHS
    ]


if __name__ == "__main__":
    for kind in ("sp", "mup"):
        print(kind, dict(zip(WIDTHS, best_rates(kind), strict=True)))
