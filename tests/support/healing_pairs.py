"""Children and their parents in memory, and rows of tokens to heal them on."""

from __future__ import annotations

from typing import Any

import torch
from families import VOCAB, tiny

from widthwise import apply, make_plan
from widthwise.prune.healing import HealSettings

BLOCK = 16


def rows(count: int = 12, seed: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCAB, (count, BLOCK), generator=generator)


def pair(family: str = "llama", width: int = 20) -> tuple[Any, Any]:
    """A parent and what is left of it; drawn wide, so that the cut is felt."""
    parent = tiny(family, initializer_range=0.15)
    return apply(parent, make_plan(parent, width=width, align=1, criterion="ppm")), parent


def settings(**changes: Any) -> HealSettings:
    chosen = {"tokens": 20 * 4 * BLOCK, "batch_tokens": 4 * BLOCK, "learning_rate": 3e-3}
    return HealSettings(**{**chosen, **changes})
