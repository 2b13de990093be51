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
from .built import count_parameters
from .drafts import draft_root, without_drafts
from .families import ModelFamily
from .mixture import mixture_groups, mixture_widths
from .outside import refuse_outside
from .sections import is_tower, text_config, ties_embeddings
from .stack import (
    Layers,
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
        UnsupportedModelError: Mixture of experts, no GLU, quantized or adapter weights, or widths
            that differ between layers; names what was found and where.
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
    if is_mixture:
        kinds, groups, cuts = mixture_groups(config, carried, layers, count, sizes[0])
    else:
        refuse_unequal_layers(config, stem, layers, carried, sizes)
        kinds = (GroupKind("mlp", width_key(config), sizes[1]),)
        groups, cuts = _check_blocks(config, tensors, stem, layers, count, sizes)
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


def _check_blocks(
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorSpec],
    stem: str,
    layers: Layers,
    count: int,
    sizes: tuple[int, int],
) -> tuple[tuple[GluGroup, ...], dict[str, TensorCut]]:
    """Blocks and cuts of all layers, each of which has one block, as the config states it."""
    family = family_in(config)
    fused = any("mlp.gate_up_proj.weight" in layer for layer in layers.values())
    blocks: list[GluGroup] = []
    cuts: dict[str, TensorCut] = {}
    for number in range(count):
        expected = _expected(number, sizes, has_gate=family.has_gate, fused=fused)
        _refuse_missing(stem, number, layers, expected)
        blocks.append(_block(number, layers[number]))
        cuts |= _check_block(layers[number], tensors, expected, family)
    return tuple(blocks), cuts


def _block(layer: int, names: Mapping[str, str]) -> GluGroup:
    """A layer's block, by the names of its tensors."""
    down, fused = names["mlp.down_proj.weight"], names.get("mlp.gate_up_proj.weight")
    return GluGroup(
        layer=layer,
        name=down.rsplit(".", 2)[0],
        gate=fused or names.get("mlp.gate_proj.weight"),
        up=fused or names["mlp.up_proj.weight"],
        down=down,
    )


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


Expected = dict[str, tuple[tuple[int, ...], TensorCut | None]]


def _expected(layer: int, sizes: tuple[int, int], *, has_gate: bool, fused: bool) -> Expected:
    """Shape and cut of each tensor that a layer's block may have, by its role."""
    hidden_size, width = sizes
    rows = {"gate_proj": 1, "up_proj": 1} if has_gate else {"up_proj": 1}
    rows = {"gate_up_proj": 2} if fused else rows
    expected: Expected = {}
    for part, parts in rows.items():
        cut = TensorCut(layer, 0, parts)
        expected[f"mlp.{part}.weight"] = ((parts * width, hidden_size), cut)
        expected[f"mlp.{part}.bias"] = ((parts * width,), cut)
    expected["mlp.down_proj.weight"] = ((hidden_size, width), TensorCut(layer, 1))
    expected["mlp.down_proj.bias"] = ((hidden_size,), None)
    return expected


def _refuse_missing(stem: str, number: int, layers: Layers, expected: Expected) -> None:
    """Raise CheckpointError where a layer lacks a matrix; other layers tell what it is called."""
    names = layers.get(number, {})
    for role in expected:
        if role.endswith(".weight") and role not in names:
            ends = (
                layer[role].removeprefix(f"{stem}.{other}.")
                for other, layer in layers.items()
                if role in layer
            )
            name = f"{stem}.{number}.{next(ends, role)}"
            raise CheckpointError(f"tensor {name} is missing from the checkpoint")


def _check_block(
    names: Mapping[str, str],
    tensors: Mapping[str, TensorSpec],
    expected: Expected,
    family: ModelFamily,
) -> dict[str, TensorCut]:
    """Cuts of one layer, after every one of its tensors has the shape that the config states."""
    block = names["mlp.down_proj.weight"].rsplit(".", 2)[0] + "."
    for role, name in names.items():
        is_beside = family.beside is not None and role.startswith(family.beside)
        if name.startswith(block) and role not in expected and not is_beside:
            raise UnsupportedModelError(
                f"{name} is not part of a plain GLU block; widthwise does not know how to cut it"
            )
    for role, (shape, _) in expected.items():
        spec = tensors[names[role]] if role in names else None
        if spec is not None and not spec.is_float:
            raise UnsupportedModelError(
                f"{names[role]} is stored as {spec.dtype}; "
                "widthwise cuts F64, F32, F16 and BF16 weights"
            )
        if spec is not None and spec.shape != shape:
            raise CheckpointError(
                f"{names[role]} must have shape {list(shape)} by the config; got {list(spec.shape)}"
            )
    return {names[role]: cut for role, (_, cut) in expected.items() if cut and role in names}
