"""GLU blocks of a language model: which tensors depend on the width, and how.

A GLU block computes `down(act(gate(x)) * up(x))`. Neuron i is row i of gate and of up and column i
of down, so every tensor of the block has one axis whose size is the width, or twice the width
where a family stores gate and up as one tensor. That is all that cutting needs to know. Of a block
without a gate, `down(act(up(x)))`, the same holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..errors import UnsupportedModelError
from ..io import TensorSpec
from .architecture import Architecture, GroupKind, LayerStack, table_beside
from .built import count_parameters
from .dense import dense_groups
from .draft_blocks import with_drafts
from .drafts import draft_root, split_drafts
from .families import refuse_family
from .layer_widths import kept_whole
from .mixture import mixture_groups, mixture_widths
from .outside import refuse_outside
from .quantization import refuse_quantized_config
from .sections import is_tower, text_model_type, ties_embeddings
from .stack import (
    Stack,
    count_layers,
    has_experts,
    language_stacks,
    refuse_layers_beyond,
    sizes_of,
    stated_sizes,
    tensors_by_layer,
)
from .width import (
    at_widths,
    layer_widths,
    refuse_unequal_twins,
    refuse_unknown_section,
    width_key,
)

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
            widths that the config does not state; names what was found and where.
        CheckpointError: A tensor is missing, or its shape contradicts the config.
    """
    family = text_model_type(config)
    refuse_family(family)
    refuse_quantized_config(config, None if is_built else tensors)
    refuse_adapters(tensors)
    refuse_unknown_section(config)
    refuse_unequal_twins(config)
    stems = language_stacks(config, tensors)
    layers = tensors_by_layer(tensors)[stems[-1]]
    is_mixture, count = has_experts(layers), count_layers(config, stems[-1], layers)
    sizes = sizes_of(layers, tensors, stated_sizes(config))
    whole = kept_whole(config, width_key(config), count)
    each = layer_widths(config, count) or (sizes[1],) * count
    widths = mixture_widths(config) if is_mixture else set(each)
    carried, drafted = split_drafts(config, tensors, stems[-1], count, sizes[0], widths)
    stacks = [_stack(config, carried, stem, sizes[0]) for stem in stems]
    if is_mixture:
        kinds, groups, cuts = mixture_groups(stacks[0])
    else:
        kinds, groups, cuts = dense_groups(stacks, each, whole)
    refuse_outside(config, _outside(stacks[-1], whole), cuts, stems, sizes[0], kinds)
    tied = frozenset() if is_built else _tied(config, stems, carried)
    architecture = Architecture(
        model_type="unknown" if family is None else str(family),
        hidden_size=sizes[0],
        stacks=tuple(LayerStack(stem=each.stem, count=each.count) for each in stacks),
        kinds=kinds,
        groups=groups,
        tensors=carried,
        cuts=cuts,
        tied=tied,
        parameters=_parameters(None if is_built else config, carried, tied, kinds),
        config=dict(config),
    )
    return with_drafts(architecture, drafted)


def _stack(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec], stem: str, hidden: int
) -> Stack:
    """A stack of layers, of which none is stored beyond those that the config states."""
    layers = tensors_by_layer(tensors)[stem]
    count = count_layers(config, stem, layers)
    stack = Stack(
        config=config, tensors=tensors, stem=stem, layers=layers, count=count, hidden=hidden
    )
    refuse_layers_beyond(stack)
    return stack


def _parameters(
    config: Mapping[str, Any] | None,
    tensors: Mapping[str, TensorSpec],
    tied: frozenset[str],
    kinds: tuple[GroupKind, ...],
) -> int:
    """Numbers of a model: of one in memory (no config) all, else by `count_parameters`.

    Where layers have widths of their own, that builds all of them at the largest.
    """
    if config is None:
        return sum(spec.numel for spec in tensors.values())
    if kinds[0].layers:
        config = at_widths(config, kinds, tuple(kind.width for kind in kinds))
    return count_parameters(config, tensors, tied)


def _outside(stack: Stack, layers: Collection[int]) -> dict[str, TensorSpec]:
    """The tensors that are in none of these layers."""
    stems = tuple(f"{stack.stem}.{layer}." for layer in layers)
    return {name: spec for name, spec in stack.tensors.items() if not name.startswith(stems)}


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
