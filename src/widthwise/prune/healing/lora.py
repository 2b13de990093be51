"""Low-rank updates instead of all weights, by the package `peft`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import RunError

if TYPE_CHECKING:
    from torch import nn


def add_lora(model: nn.Module, rank: int, seed: int) -> None:
    """Put an update of low rank beside every linear layer but the head; nothing else is trained.

    Args:
        model: A `transformers` model, changed in place; its output is still the same.
        rank: Of every update, whose scale is then 2 (alpha is twice the rank).
        seed: Of the updates' first factors; the second ones are zero.

    Raises:
        RunError: peft is not installed.
    """
    import torch

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
            owner, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(owner), attribute, layer.get_base_layer())
