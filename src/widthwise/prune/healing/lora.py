"""Low-rank updates instead of all weights, by the package `peft`; zero neurons stay zeros."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...arch import Architecture, TensorCut
from ...cut import ModelWeights, owner_of
from .settings import require_peft


def add_lora(model: nn.Module, rank: int, seed: int) -> None:
    """Add an update of low rank to every linear layer but the head; nothing else is trained.

    Of experts that are stored as one tensor, each has an update of that rank. Routers and state
    space models have none.

    Args:
        model: A `transformers` model, changed in place; its output is still the same.
        rank: Rank of every update, whose scale is then 2 (alpha is twice the rank).
        seed: Seed of the updates' first factors; the second ones are zero.

    Raises:
        RunError: peft is not installed.
    """
    require_peft()
    import peft

    architecture = ModelWeights(model).architecture
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=[f"0.{name}" for name in _linear_layers(model, architecture)],
        target_parameters=[f"0.{name}" for name in _stacks(architecture)] or None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # Within another module peft does not look at the model's family, which it may know in
        # another form, with other names and ranks.
        peft.inject_adapter_in_model(config, nn.ModuleList([model]))


def _stacks(architecture: Architecture) -> list[str]:
    """Matrices of all experts of a layer in one tensor."""
    shapes = architecture.tensors
    return [n for n, cut in architecture.cuts.items() if cut.stacked and len(shapes[n].shape) == 3]


def _linear_layers(model: Any, architecture: Architecture) -> list[str]:
    """All linear layers but the head, routers and those of state space models.

    The kernels of state space models read weights directly, so that they would miss an update.
    """
    experts = Counter(g.module for g in architecture.groups if g.expert is not None)
    routed = {module.rpartition(".")[0] + ".": count for module, count in experts.items()}
    states = tuple(
        f"{name}."
        for name, each in model.named_modules()
        if {"A_log", "D"} <= {own for own, _ in each.named_parameters(recurse=False)}
    )
    head = model.get_output_embeddings()
    return [
        name
        for name, each in model.named_modules()
        if isinstance(each, nn.Linear)
        and each is not head
        and not name.startswith(states)
        and not any(
            name.startswith(where) and each.out_features == count for where, count in routed.items()
        )
    ]


def merge_lora(model: nn.Module) -> None:
    """Add all updates to their weights, and leave plain linear layers and tensors."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer) and not name.endswith(".base_layer"):  # not the inner one
            wrapper: Any = module
            updates = [each for each in wrapper.modules() if isinstance(each, LoraLayer)]
            for each in updates:
                each.merge(safe_merge=True)
            setattr(*owner_of(model, name), wrapper.get_base_layer())


def zero_neurons(parameters: Mapping[str, Tensor], architecture: Architecture) -> dict[int, Tensor]:
    """Group to a mask of the neurons whose gate, up and down are all zero, shape (neurons,)."""
    result: dict[int, Tensor] = {}
    for name, cut in architecture.cuts.items():
        for group, part in _parts(parameters[name].detach(), cut):
            size = part.abs()
            lines = size if size.ndim == 1 else size.amax(1 - cut.axis)
            empty = (lines == 0).view(*((-1, cut.parts) if cut.interleaved else (cut.parts, -1)))
            empty = empty.all(1 if cut.interleaved else 0)
            result[group] = torch.logical_and(result.get(group, empty), empty)
    return result


def zero_gradients(
    parameters: Mapping[str, Tensor], architecture: Architecture, masks: Mapping[int, Tensor]
) -> None:
    """Set those neurons to zero again, in place."""
    with torch.no_grad():
        for name, cut in architecture.cuts.items():
            for group, part in _parts(parameters[name], cut):
                mask = masks[group].to(part.device)
                lines = (
                    mask.repeat_interleave(cut.parts) if cut.interleaved else mask.repeat(cut.parts)
                )
                part.index_fill_(cut.axis, lines.nonzero()[:, 0], 0)


def _parts(tensor: Tensor, cut: TensorCut) -> Iterable[tuple[int, Tensor]]:
    """What belongs to each group of a tensor, in its memory."""
    return zip(cut.groups, tensor if cut.stacked else [tensor], strict=True)
