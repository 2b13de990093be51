"""GLU blocks of a language model: which tensors depend on the width, and how.

A GLU block computes `down(act(gate(x)) * up(x))`. Neuron i is row i of gate and of up and column i
of down, so every tensor of the block has one axis whose size is the width, or twice the width
where a family stores gate and up as one tensor. That is all that cutting needs to know. Of a block
without a gate, `down(act(up(x)))`, the same holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError
from ..io import TensorSpec
from .architecture import Architecture, GluGroup, GroupKind, TensorCut, table_beside
from .blocks import ROLES, GluBlock, Stack, no_plain_part
from .built import count_parameters
from .drafts import draft_root, without_drafts
from .mixture import mixture_groups, mixture_widths
from .outside import refuse_outside
from .sections import is_tower, text_config, ties_embeddings
from .stack import (
    count_layers,
    has_experts,
    language_stack,
    refuse_layers_beyond,
    refuse_quantized_config,
    refuse_unequal_layers,
    sizes_of,
    stated_sizes,
    tensors_by_layer,
)
from .width import family_in, refuse_unequal_widths, width_key

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
    stem = language_stack(config, tensors)
    layers = tensors_by_layer(tensors)[stem]
    is_mixture, count = has_experts(layers), count_layers(config, layers)
    sizes = sizes_of(layers, tensors, stated_sizes(config))
    widths = mixture_widths(config) if is_mixture else {sizes[1]}
    carried, left_out = without_drafts(config, tensors, stem, count, sizes[0], widths)
    layers = tensors_by_layer(carried)[stem]
    refuse_layers_beyond(config, stem, layers, count)
    stack = Stack(
        config=config, tensors=carried, stem=stem, layers=layers, count=count, hidden=sizes[0]
    )
    if is_mixture:
        kinds, groups, cuts = mixture_groups(stack)
    else:
        refuse_unequal_layers(config, stem, layers, carried, sizes)
        kinds = (GroupKind("mlp", width_key(config), sizes[1]),)
        groups, cuts = _dense_groups(stack, sizes[1])
    refuse_outside(config, carried, cuts, stem, sizes[0], kinds)
    tied = frozenset() if is_built else _tied(config, stem, carried)
    parameters = sum(spec.numel for spec in carried.values())
    return Architecture(
        model_type=str(text_config(config).get("model_type", config.get("model_type", "unknown"))),
        hidden_size=sizes[0],
        layers=count,
        stem=stem,
        kinds=kinds,
        groups=groups,
        tensors=carried,
        cuts=cuts,
        left_out=left_out,
        tied=tied,
        parameters=parameters if is_built else count_parameters(config, carried, tied),
        config=dict(config),
    )


def _dense_groups(stack: Stack, width: int) -> tuple[tuple[GluGroup, ...], dict[str, TensorCut]]:
    """Groups and cuts of layers with one block each, as the config states it."""
    fused = any("mlp.gate_up_proj.weight" in layer for layer in stack.layers.values())
    family = family_in(stack.config)
    gated = ("gate_proj", "up_proj") if family.has_gate else ("up_proj",)
    parts = (*(("gate_up_proj",) if fused else gated), "down_proj")
    groups: list[GluGroup] = []
    cuts: dict[str, TensorCut] = {}
    for number in range(stack.count):
        if not (family.in_every_layer or _has_block(stack, number)):
            continue
        _refuse_missing(stack, number, parts)
        names = {
            role: name
            for role in ROLES
            if role.split(".")[0] in parts
            and (name := stack.layers[number].get(f"mlp.{role}")) is not None
        }
        block = GluBlock(names=names, width=width, hidden=stack.hidden)
        _refuse_others(stack, number, block)
        block.check(stack.tensors, "by the config")
        cuts |= block.cuts(len(groups))
        groups.append(block.group(number))
    return tuple(groups), cuts


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


def _tied(config: Mapping[str, Any], stem: str, names: Mapping[str, Any]) -> frozenset[str]:
    """Heads that are stored as well as the table of embeddings which they are tied to."""
    heads = (n for n in names if n.endswith("lm_head.weight"))
    heads_here = frozenset(n for n in heads if not (draft_root(n) or is_tower(n)))
    is_tied = heads_here and table_beside(stem, names) and ties_embeddings(config)
    return heads_here if is_tied else frozenset()


def refuse_adapters(names: Iterable[str]) -> None:
    """Raise UnsupportedModelError where a name is that of a tensor of an adapter."""
    for name in names:
        if _ADAPTER.search(name):
            raise UnsupportedModelError(
                f"{name}: the weights hold an adapter (PEFT); merge it into its base model first"
            )
