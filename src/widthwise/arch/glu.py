"""GLU blocks of a language model: which tensors depend on the width, and how.

A GLU block computes `down(act(gate(x)) * up(x))`. Neuron i is row i of gate and of up and column i
of down, so every tensor of the block has one axis whose size is the width, or twice the width
where a family stores gate and up as one `gate_up_proj`. That is all that cutting needs to know.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError

DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
DTYPE_BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")

_TIED_BY_DEFAULT = ("gemma", "gemma2", "gemma3", "gemma3_text", "cohere")  # in transformers

_LAYER = re.compile(
    r"^(?P<stem>(?:.*\.)?(?:layers|h|blocks|block|layer))\.(?P<layer>\d+)\.(?P<rest>.+)$"
)
_QUANTIZED_SUFFIXES = tuple(
    "qweight qzeros scales g_idx SCB absmax quant_map weight_scale weight_scale_inv weight_packed "
    "input_scale".split()
)


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a stored tensor; `dtype` is the safetensors name (`"BF16"`)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * DTYPE_BYTES[self.dtype]

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOAT_DTYPES


@dataclass(frozen=True)
class Cut:
    """How a tensor of layer `layer` depends on the width: size along `axis` is `parts * width`."""

    layer: int
    axis: int
    parts: int = 1


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a checkpoint is, as far as width is concerned. Holds no weights.

    Attributes:
        model_type: Family as the config names it (`"llama"`).
        hidden_size: H, size of the residual stream.
        intermediate_size: I, neurons in each GLU block; the width.
        layers: Number of GLU blocks.
        stem: Name before the layer number in the names of the tensors (`"model.layers"`).
        fused: True where gate and up are stored as one `gate_up_proj`, gate first.
        tensors: Every stored tensor.
        cuts: The tensors that depend on the width.
        tied: Names that share the storage of another parameter and are not counted twice.
        config: The model's config, as a plain mapping.
    """

    model_type: str
    hidden_size: int
    intermediate_size: int
    layers: int
    stem: str
    fused: bool
    tensors: Mapping[str, TensorSpec]
    cuts: Mapping[str, Cut]
    tied: frozenset[str]
    config: Mapping[str, Any]

    @property
    def expansion_ratio(self) -> float:
        """I / H."""
        return self.intermediate_size / self.hidden_size

    def block(self, layer: int) -> str:
        """Name of a layer's GLU block (`"model.layers.3.mlp"`)."""
        return f"{self.stem}.{layer}.mlp"

    def spec_at(self, name: str, width: int) -> TensorSpec:
        """Shape and dtype of a tensor once every block has `width` neurons."""
        spec, cut = self.tensors[name], self.cuts.get(name)
        if cut is None:
            return spec
        shape = list(spec.shape)
        shape[cut.axis] = cut.parts * width
        return replace(spec, shape=tuple(shape))


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model (multimodal configs nest it)."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def read_architecture(config: Mapping[str, Any], tensors: Mapping[str, TensorSpec]) -> Architecture:
    """Find and check the GLU blocks of all layers; reads no weight.

    Args:
        config: The parsed `config.json`, or `model.config.to_dict()`.
        tensors: Name to shape and dtype of every stored tensor.

    Raises:
        UnsupportedModelError: Mixture of experts, no GLU, quantized or adapter weights, or widths
            that differ between layers; names what was found and where.
        CheckpointError: A tensor is missing, or its shape contradicts the config.
    """
    _refuse_quantized_config(config)
    _refuse_adapters(tensors)
    text = text_config(config)
    grouped = _tensors_by_layer(tensors)
    stem, blocks = _blocks(grouped)
    layers = text.get("num_hidden_layers", len(blocks))
    if type(layers) is not int or layers < 1:
        raise CheckpointError(f"config.json: num_hidden_layers must be above 0; got {layers!r}")
    if blocks and max(blocks) >= layers:
        raise UnsupportedModelError(
            f"{stem}.{max(blocks)} is beyond the {layers} layers of the config; "
            "widthwise does not know how to cut it"
        )
    hidden_size, width = _sizes(text)
    cuts: dict[str, Cut] = {}
    fused = any("mlp.gate_up_proj.weight" in block for block in blocks.values())
    for layer in range(layers):
        names = blocks.get(layer, {})
        cuts |= _check_block(f"{stem}.{layer}", layer, names, tensors, hidden_size, width, fused)
    family = str(text.get("model_type", config.get("model_type", "unknown")))
    by_default = config.get("tie_word_embeddings", family in _TIED_BY_DEFAULT)
    tied = text.get("tie_word_embeddings", by_default)
    return Architecture(
        model_type=family,
        hidden_size=hidden_size,
        intermediate_size=width,
        layers=layers,
        stem=stem,
        fused=fused,
        tensors=dict(tensors),
        cuts=cuts,
        tied=frozenset({"lm_head.weight"} & set(tensors) if tied else ()),
        config=dict(config),
    )


def _refuse_quantized_config(config: Mapping[str, Any]) -> None:
    for part in (config, text_config(config)):
        quantization = part.get("quantization_config")
        if quantization:
            method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
            raise UnsupportedModelError(
                f"config.json: the weights are quantized ({method or 'unknown method'}); "
                "prune the unquantized checkpoint and quantize the result"
            )


def _refuse_adapters(names: Iterable[str]) -> None:
    for name in names:
        if ".lora_A." in name or ".lora_B." in name or name.startswith("base_model.model."):
            raise UnsupportedModelError(
                f"{name}: the weights are an adapter (PEFT); merge it into its base model first"
            )


def _tensors_by_layer(names: Iterable[str]) -> dict[str, dict[int, dict[str, str]]]:
    """stem -> layer -> name within the layer -> whole name."""
    grouped: dict[str, dict[int, dict[str, str]]] = {}
    for name in names:
        match = _LAYER.match(name)
        if match:
            layer = grouped.setdefault(match["stem"], {}).setdefault(int(match["layer"]), {})
            layer[match["rest"]] = name
    return grouped


def _blocks(
    grouped: dict[str, dict[int, dict[str, str]]],
) -> tuple[str, dict[int, dict[str, str]]]:
    """The one stack of layers that holds GLU blocks, or a refusal that names what it holds."""
    for layers in grouped.values():
        for layer, names in sorted(layers.items()):
            for rest, name in names.items():
                _refuse_part(layer, rest, name)
    stems = [
        stem
        for stem, layers in grouped.items()
        if any(
            {"mlp.gate_proj.weight", "mlp.gate_up_proj.weight"} & set(names)
            for names in layers.values()
        )
    ]
    if len(stems) > 1:
        raise UnsupportedModelError(
            f"GLU blocks must stand in one stack of layers; found {', '.join(sorted(stems))}"
        )
    if not stems:
        found = [name for layers in grouped.values() for name in layers.get(0, {}).values()]
        feed_forward = [n for n in found if re.search(r"mlp|ffn|fc\d|feed_forward", n)] or found
        listed = ", ".join(sorted(feed_forward)[:4]) or "no layers at all"
        raise UnsupportedModelError(
            "layer 0 must hold a GLU block (mlp.gate_proj, mlp.up_proj, mlp.down_proj, or "
            f"mlp.gate_up_proj and mlp.down_proj); found {listed}"
        )
    return stems[0], grouped[stems[0]]


def _refuse_part(layer: int, rest: str, name: str) -> None:
    if "experts" in rest or "block_sparse_moe" in rest or rest.startswith("mlp.router"):
        raise UnsupportedModelError(
            f"layer {layer} is a mixture of experts ({name}); widthwise cuts dense GLU blocks"
        )
    if rest.endswith(_QUANTIZED_SUFFIXES):
        raise UnsupportedModelError(
            f"layer {layer} holds quantized weights ({name}); "
            "prune the unquantized checkpoint and quantize the result"
        )


def _sizes(text: Mapping[str, Any]) -> tuple[int, int]:
    sizes = []
    for key in ("hidden_size", "intermediate_size"):
        value = text.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UnsupportedModelError(
                f"config.json: {key} must be one whole number for all layers; got {value!r}"
            )
        sizes.append(value)
    return sizes[0], sizes[1]


def _check_block(
    where: str,
    layer: int,
    names: Mapping[str, str],
    tensors: Mapping[str, TensorSpec],
    hidden_size: int,
    width: int,
    fused: bool,
) -> dict[str, Cut]:
    """Cuts of one layer, after every one of its tensors has the shape that the config states."""
    rows = {"gate_up_proj": 2} if fused else {"gate_proj": 1, "up_proj": 1}
    expected: dict[str, tuple[tuple[int, ...], Cut | None]] = {}
    for part, parts in rows.items():
        cut = Cut(layer, 0, parts)
        expected[f"mlp.{part}.weight"] = ((parts * width, hidden_size), cut)
        expected[f"mlp.{part}.bias"] = ((parts * width,), cut)
    expected["mlp.down_proj.weight"] = ((hidden_size, width), Cut(layer, 1))
    expected["mlp.down_proj.bias"] = ((hidden_size,), None)

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
