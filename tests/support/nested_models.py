"""What must be as it was in a model that takes other widths and comes back."""

from __future__ import annotations

from typing import Any

import torch

KEPT = 29


def bits(model: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def sizes(model: Any) -> dict[str, int]:
    """Every number that a module or a config of the model states."""
    found = {}
    for name, module in model.named_modules():
        config = getattr(module, "config", None)
        for part, values in ((name, vars(module)), (f"{name} config", vars(config or module))):
            found |= {f"{part} {k}": v for k, v in values.items() if isinstance(v, int)}
    return found


def assert_untouched(model: Any, before: dict[str, torch.Tensor]) -> None:
    now = dict(model.named_parameters())
    assert now.keys() == before.keys()
    for name, value in now.items():
        assert torch.equal(value, before[name]), name
