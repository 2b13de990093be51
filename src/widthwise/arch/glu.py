"""GLU blocks of a language model: which tensors depend on the width, and how.

A GLU block computes `down(act(gate(x)) * up(x))`. Neuron i is row i of gate and of up and column i
of down, so every tensor of the block has one axis whose size is the width, or twice the width
where a family stores gate and up as one `gate_up_proj`. That is all that cutting needs to know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError
from ..io import TensorSpec
from .architecture import Architecture, TensorCut, table_beside
from .built import count_parameters
from .drafts import draft_root, without_drafts
from .outside import refuse_outside
from .sections import is_tower, refuse_unequal_widths, text_config, ties_embeddings
from .stack import (
    count_layers,
    language_stack,
    refuse_layers_beyond,
    refuse_quantized_config,
    refuse_unequal_layers,
    sizes_of,
    stated_sizes,
    tensors_by_layer,
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
        UnsupportedModelError: Mixture of experts, no GLU, quantized or adapter weights, or widths
            that differ between layers; names what was found and where.
        CheckpointError: A tensor is missing, or its shape contradicts the config.
    """
    refuse_quantized_config(config, None if is_built else tensors)
    refuse_adapters(tensors)
    refuse_unequal_widths(config)
    stem = language_stack(config, tensors)
    layers = tensors_by_layer(tensors)[stem]
    sizes = sizes_of(layers, tensors, stated_sizes(config))
    count = count_layers(config, layers)
    carried, left_out = without_drafts(config, tensors, stem, count, sizes)
    cuts = _check_blocks(config, carried, tensors, stem, count, sizes)
    refuse_outside(config, carried, cuts, stem, sizes)
    tied = frozenset() if is_built else _tied(config, stem, carried)
    parameters = sum(spec.numel for spec in carried.values())
    return Architecture(
        model_type=str(text_config(config).get("model_type", config.get("model_type", "unknown"))),
        hidden_size=sizes[0],
        intermediate_size=sizes[1],
        layers=count,
        stem=stem,
        fused=any(cut.parts == 2 for cut in cuts.values()),
        tensors=carried,
        cuts=cuts,
        left_out=left_out,
        tied=tied,
        parameters=parameters if is_built else count_parameters(config, carried, tied),
        config=dict(config),
    )


def _check_blocks(
    config: Mapping[str, Any],
    carried: Mapping[str, TensorSpec],
    tensors: Mapping[str, TensorSpec],
    stem: str,
    count: int,
    sizes: tuple[int, int],
) -> dict[str, TensorCut]:
    """Cuts of all layers, each of which is a plain GLU block as the config states it."""
    blocks = tensors_by_layer(carried)[stem]
    refuse_layers_beyond(config, stem, blocks, count)
    refuse_unequal_layers(config, stem, blocks, carried, sizes)
    cuts: dict[str, TensorCut] = {}
    fused = any("mlp.gate_up_proj.weight" in block for block in blocks.values())
    for layer in range(count):
        expected = _expected(layer, sizes, fused=fused)
        cuts |= _check_block(f"{stem}.{layer}", blocks.get(layer, {}), tensors, expected)
    return cuts


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


def _expected(layer: int, sizes: tuple[int, int], *, fused: bool) -> Expected:
    """Shape and cut of each tensor that a layer's block may have, by its name in the layer."""
    hidden_size, width = sizes
    rows = {"gate_up_proj": 2} if fused else {"gate_proj": 1, "up_proj": 1}
    expected: Expected = {}
    for part, parts in rows.items():
        cut = TensorCut(layer, 0, parts)
        expected[f"mlp.{part}.weight"] = ((parts * width, hidden_size), cut)
        expected[f"mlp.{part}.bias"] = ((parts * width,), cut)
    expected["mlp.down_proj.weight"] = ((hidden_size, width), TensorCut(layer, 1))
    expected["mlp.down_proj.bias"] = ((hidden_size,), None)
    return expected


def _check_block(
    where: str, names: Mapping[str, str], tensors: Mapping[str, TensorSpec], expected: Expected
) -> dict[str, TensorCut]:
    """Cuts of one layer, after every one of its tensors has the shape that the config states."""
    for rest in expected:
        if rest.endswith(".weight") and rest not in names:
            raise CheckpointError(f"tensor {where}.{rest} is missing from the checkpoint")
    for rest, name in names.items():
        if rest.startswith("mlp.") and rest not in expected:
            raise UnsupportedModelError(
                f"{name} is not part of a plain GLU block; widthwise does not know how to cut it"
            )
    for rest, (shape, _) in expected.items():
        spec = tensors[names[rest]] if rest in names else None
        if spec is not None and not spec.is_float:
            raise UnsupportedModelError(
                f"{names[rest]} is stored as {spec.dtype}; "
                "widthwise cuts F64, F32, F16 and BF16 weights"
            )
        if spec is not None and spec.shape != shape:
            raise CheckpointError(
                f"{names[rest]} must have shape {list(shape)} by the config; got {list(spec.shape)}"
            )
    return {names[rest]: cut for rest, (_, cut) in expected.items() if cut and rest in names}
