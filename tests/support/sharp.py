"""Tiny models whose output depends on all they read, as a trained model's does."""

from __future__ import annotations

from typing import Any

import torch
from families import tiny


def sharp(family: str, **changes: Any) -> Any:
    """A tiny model with weights 8 times as large.

    Fresh weights are so small that attention hardly changes a logit: a wrong mask, position or
    cache would not show, and the most probable token would depend on the last one alone.
    """
    model = tiny(family, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model
