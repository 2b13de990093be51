"""Groups of neurons of a dense stack: one block a layer, of one width or of several."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..errors import CheckpointError
from .architecture import GluGroup, GroupKind, TensorCut
from .blocks import ROLES, GluBlock, no_plain_part
from .layer_widths import kinds_by_layer
from .stack import Stack, refuse_unequal_layers
from .width import block_factors, family_in, has_gate, layer_widths, width_key


def dense_groups(
    stacks: Sequence[Stack], widths: Sequence[int], whole: Collection[int]
) -> tuple[tuple[GroupKind, ...], tuple[GluGroup, ...], dict[str, TensorCut]]:
    """Kinds, groups and cuts of layers with one block each.

    Args:
        stacks: Stacks of layers; several are of one width.
        widths: What the config states for each layer.
        whole: Layers that are not cut.

    Raises:
        CheckpointError: A tensor is missing, or of a shape that does not fit.
        UnsupportedModelError: Blocks are of widths that the config does not state, or a tensor is
            in one, and no part of a plain one.
    """
    groups: list[GluGroup] = []
    cuts: dict[str, TensorCut] = {}
    before = 0  # layers of earlier stacks
    for stack in stacks:
        own = widths if len(stacks) == 1 else [widths[0]] * stack.count
        refuse_unequal_layers(stack, own)
        every = family_in(stack.config).in_every_layer
        for number in range(stack.count):
            if not (every or _has_block(stack, number)):
                continue
            factor, block = _dense_block(stack, number, own[number])
            if number not in whole:
                cuts |= block.cuts(len(groups))
                groups.append(block.group(before + number, factor=factor))
        before += stack.count
    kinds = _kinds(stacks[0], widths, [group.layer for group in groups])
    places = {layer: place for place, kind in enumerate(kinds) for layer in kind.layers}
    return kinds, tuple(replace(g, kind=places.get(g.layer, 0)) for g in groups), cuts


def _kinds(stack: Stack, widths: Sequence[int], layers: Sequence[int]) -> tuple[GroupKind, ...]:
    """The kinds of the layers that are cut."""
    key = width_key(stack.config)
    if layer_widths(stack.config, stack.count) is None:
        return (GroupKind("mlp", key, widths[0]),)
    return kinds_by_layer(key, {layer: widths[layer] for layer in layers})


def _dense_block(stack: Stack, number: int, width: int) -> tuple[int, GluBlock]:
    """The block of a layer, whose shapes are those of the config, and what its width divides by."""
    fused = any("mlp.gate_up_proj.weight" in layer for layer in stack.layers.values())
    gated = ("gate_proj", "up_proj") if has_gate(stack.config) else ("up_proj",)
    parts = (*(("gate_up_proj",) if fused else gated), "down_proj")
    _refuse_missing(stack, number, parts)
    names = {
        role: name
        for role in ROLES
        if role.split(".")[0] in parts
        and (name := stack.layers[number].get(f"mlp.{role}")) is not None
    }
    stored = stack.tensors[names["down_proj.weight"]].shape[-1:]
    factor = next((each for each in block_factors(stack.config) if (each * width,) == stored), 1)
    block = GluBlock(
        names=names,
        width=factor * width,
        hidden=stack.hidden,
        up_first=family_in(stack.config).up_first,
    )
    _refuse_others(stack, number, block)
    block.check(stack.tensors, "by the config")
    return factor, block


def _has_block(stack: Stack, number: int) -> bool:
    return any(role.startswith("mlp.") for role in stack.layers.get(number, {}))


def _refuse_missing(stack: Stack, number: int, parts: Iterable[str]) -> None:
    """Raise CheckpointError where a layer lacks a matrix; other layers tell what it is called."""
    names = stack.layers.get(number, {})
    for role in (f"mlp.{part}.weight" for part in parts):
        if role not in names:
            ends = (
                layer[role].removeprefix(f"{stack.stem}.{other}.")
                for other, layer in stack.layers.items()
                if role in layer
            )
            name = f"{stack.stem}.{number}.{next(ends, role)}"
            raise CheckpointError(f"tensor {name} is missing from the checkpoint")


def _refuse_others(stack: Stack, number: int, block: GluBlock) -> None:
    """Raise UnsupportedModelError where a layer's block has a tensor that is no part of one."""
    beside = family_in(stack.config).beside
    for role, name in block.others(stack.layers[number]).items():
        if beside is None or not role.startswith(beside):
            raise no_plain_part(name)
