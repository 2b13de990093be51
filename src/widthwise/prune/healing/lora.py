"""Low-rank updates instead of all weights, by the package `peft`; zero neurons stay zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...arch import Architecture
from ...cut import owner_of
from ...errors import RunError


def add_lora(model: nn.Module, rank: int, seed: int) -> None:
    """Add an update of low rank to every linear layer but the head; nothing else is trained.

    Args:
        model: A `transformers` model, changed in place; its output is still the same.
        rank: Rank of every update, whose scale is then 2 (alpha is twice the rank).
        seed: Seed of the updates' first factors; the second ones are zero.

    Raises:
        RunError: peft is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise RunError("--lora needs another package; pip install 'widthwise[lora]'") from error
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, model)


def merge_lora(model: nn.Module) -> None:
    """Add all updates to their weights, and leave plain linear layers."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            layer: Any = module
            layer.merge(safe_merge=True)
            setattr(*owner_of(model, name), layer.get_base_layer())


def zero_neurons(parameters: Mapping[str, Tensor], architecture: Architecture) -> dict[int, Tensor]:
    """Layer to a mask of the neurons whose gate, up and down are all zero, shape (width,)."""
    result: dict[int, Tensor] = {}
    for name, cut in architecture.cuts.items():
        size = parameters[name].detach().abs()
        lines = size if size.ndim == 1 else size.amax(1 - cut.axis)
        empty = (lines == 0).view(cut.parts, -1).all(0)
        result[cut.group] = torch.logical_and(result.get(cut.group, empty), empty)
    return result


def zero_gradients(
    parameters: Mapping[str, Tensor], architecture: Architecture, masks: Mapping[int, Tensor]
) -> None:
    """Set those neurons to zero again, in place."""
    with torch.no_grad():
        for name, cut in architecture.cuts.items():
            mask = masks[cut.group].repeat(cut.parts).to(parameters[name].device)
            parameters[name].index_fill_(cut.axis, mask.nonzero()[:, 0], 0)
