"""GLU blocks of a language model: which tensors depend on the width, and how.

A GLU block computes `down(act(gate(x)) * up(x))`. Neuron i is row i of gate and of up and column i
of down, so every tensor of the block has one axis whose size is the width, or twice the width
where a family stores gate and up as one tensor. That is all that cutting needs to know. Of a block
without a gate, `down(act(up(x)))`, the same holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError
from ..io import TensorSpec
from .architecture import Architecture, GluGroup, GroupKind, LayerStack, TensorCut, table_beside
from .blocks import ROLES, GluBlock, Stack, no_plain_part
from .built import count_parameters
from .draft_blocks import with_drafts
from .drafts import draft_root, split_drafts
from .mixture import mixture_groups, mixture_widths
from .outside import refuse_outside
from .quantization import refuse_quantized_config
from .sections import is_tower, text_config, ties_embeddings
from .stack import (
    count_layers,
    has_experts,
    language_stacks,
    refuse_layers_beyond,
    refuse_unequal_layers,
    sizes_of,
    stated_sizes,
    tensors_by_layer,
)
from .width import family_in, has_gate, refuse_unequal_widths, width_key

_ADAPTER = re.compile(  # in names of PEFT
    r"\.(lora|ia3|hada|lokr|oft|boft|vera|vblora|hra|bone|ln_tuning|fourierft)_\w|"
    r"\.(base_layer|modules_to_save|original_module|trainable_tokens_\w+)\."
)


def read_architecture(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec], *, is_built: bool = False
) -> Architecture:
    """Find and check the GLU blocks of all layers; reads no weight.

    Args:
        config: The parsed `config.json`, or `model.config.to_dict()`.
        tensors: Name to shape and dtype of every stored tensor.
        is_built: The tensors are the parameters of a model in memory, each once.

    Raises:
        UnsupportedModelError: No block that widthwise knows, quantized or adapter weights, or
            widths that differ between layers; names what was found and where.
        CheckpointError: A tensor is missing, or its shape contradicts the config.
    """
    refuse_quantized_config(config, None if is_built else tensors)
    refuse_adapters(tensors)
    refuse_unequal_widths(config)
    stems = language_stacks(config, tensors)
    layers = tensors_by_layer(tensors)[stems[-1]]
    is_mixture, count = has_experts(layers), count_layers(config, stems[-1], layers)
    sizes = sizes_of(layers, tensors, stated_sizes(config))
    widths = mixture_widths(config) if is_mixture else {sizes[1]}
    carried, drafted = split_drafts(config, tensors, stems[-1], count, sizes[0], widths)
    stacks = [_stack(config, carried, stem, sizes[0]) for stem in stems]
    if is_mixture:
        kinds, groups, cuts = mixture_groups(stacks[0])
    else:
        kinds = (GroupKind("mlp", width_key(config), sizes[1]),)
        groups, cuts = _dense_groups(stacks, sizes[1])
    refuse_outside(config, carried, cuts, stems, sizes[0], kinds)
    tied = frozenset() if is_built else _tied(config, stems, carried)
    parameters = sum(spec.numel for spec in carried.values())
    architecture = Architecture(
        model_type=str(text_config(config).get("model_type", config.get("model_type", "unknown"))),
        hidden_size=sizes[0],
        stacks=tuple(LayerStack(stem=each.stem, count=each.count) for each in stacks),
        kinds=kinds,
        groups=groups,
        tensors=carried,
        cuts=cuts,
        tied=tied,
        parameters=parameters if is_built else count_parameters(config, carried, tied),
        config=dict(config),
    )
    return with_drafts(architecture, drafted)


def _stack(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec], stem: str, hidden: int
) -> Stack:
    """A stack of layers, of which none is stored beyond those that the config states."""
    layers = tensors_by_layer(tensors)[stem]
    count = count_layers(config, stem, layers)
    refuse_layers_beyond(config, stem, layers, count)
    return Stack(
        config=config, tensors=tensors, stem=stem, layers=layers, count=count, hidden=hidden
    )


def _dense_groups(
    stacks: Sequence[Stack], width: int
) -> tuple[tuple[GluGroup, ...], dict[str, TensorCut]]:
    """Groups and cuts of layers with one block each, as the config states it."""
    groups: list[GluGroup] = []
    cuts: dict[str, TensorCut] = {}
    before = 0  # layers of earlier stacks
    for stack in stacks:
        sizes = stack.hidden, width
        refuse_unequal_layers(stack.config, stack.stem, stack.layers, stack.tensors, sizes)
        every = family_in(stack.config).in_every_layer
        for number in range(stack.count):
            if every or _has_block(stack, number):
                block = _dense_block(stack, number, width)
                cuts |= block.cuts(len(groups))
                groups.append(block.group(before + number))
        before += stack.count
    return tuple(groups), cuts


def _has_block(stack: Stack, number: int) -> bool:
    return any(role.startswith("mlp.") for role in stack.layers.get(number, {}))


def _dense_block(stack: Stack, number: int, width: int) -> GluBlock:
    """The block of a layer, after its shapes were found to be those of the config."""
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
    block = GluBlock(
        names=names,
        width=width,
        hidden=stack.hidden,
        up_first=family_in(stack.config).up_first,
    )
    _refuse_others(stack, number, block)
    block.check(stack.tensors, "by the config")
    return block


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


def _tied(
    config: Mapping[str, Any], stems: Sequence[str], names: Mapping[str, Any]
) -> frozenset[str]:
    """Heads that are stored as well as the table of embeddings which they are tied to."""
    heads = (n for n in names if n.endswith("lm_head.weight"))
    heads_here = frozenset(n for n in heads if not (draft_root(n) or is_tower(n)))
    is_tied = heads_here and table_beside(stems, names) and ties_embeddings(config)
    return heads_here if is_tied else frozenset()


def refuse_adapters(names: Iterable[str]) -> None:
    """Raise UnsupportedModelError where a name is that of a tensor of an adapter."""
    for name in names:
        if _ADAPTER.search(name):
            raise UnsupportedModelError(
                f"{name}: the weights hold an adapter (PEFT); merge it into its base model first"
            )
