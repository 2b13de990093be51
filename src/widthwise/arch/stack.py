"""The language model's stack of layers among those of a checkpoint, and what is wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UnsupportedModelError
from .architecture import table_beside
from .drafts import draft_root
from .families import role_of
from .quantization import refuse_quantized_tensor
from .sections import is_tower, section_name, text_config, text_value
from .width import block_factors, family_in, has_gate, stated_width, unequal_width_keys, width_key

if TYPE_CHECKING:
    from ..io import TensorSpec

Layers = dict[int, dict[str, str]]  # number -> name by role within the layer -> whole name
Sizes = tuple[int | None, int | None]  # hidden size and width; None where the config has none

_LAYER = re.compile(
    r"^(?P<stem>(?:.*?\.)?(?:layers|h|blocks|block|layer))\.(?P<layer>\d+)\.(?P<rest>.+)$"
)
_GATES = frozenset({"mlp.gate_proj.weight", "mlp.gate_up_proj.weight"})


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack of layers in which blocks are looked for.

    Attributes:
        config: The parsed config.json.
        tensors: Every tensor that a cut carries.
        stem: Name before the number of a layer.
        layers: The tensors of the layers by their roles.
        count: Number of layers.
        hidden: Size of the residual stream.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, TensorSpec]
    stem: str
    layers: Layers
    count: int
    hidden: int


def tensors_by_layer(tensors: Mapping[str, TensorSpec]) -> dict[str, Layers]:
    """Begin of the names of each stack of layers -> its layers."""
    grouped: dict[str, Layers] = {}
    for name, spec in tensors.items():
        match = _LAYER.match(name)
        if match:
            layer = grouped.setdefault(match["stem"], {}).setdefault(int(match["layer"]), {})
            layer[role_of(match["rest"], len(spec.shape))] = name
    return {stem: without_shared(layers) for stem, layers in grouped.items()}


def has_experts(layers: Layers) -> bool:
    """Whether some layer of a stack has experts."""
    return any(role.startswith("experts.") for names in layers.values() for role in names)


def without_shared(layers: Layers) -> Layers:
    """A stack in which a block shared by all tokens, where there are no experts, is the block."""
    if has_experts(layers):
        return layers
    return {
        number: {re.sub(r"^shared\.", "mlp.", role): name for role, name in names.items()}
        for number, names in layers.items()
    }


def language_stacks(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec]
) -> tuple[str, ...]:
    """Begins of the names of the layers of the language model (`"model.layers"`), in their order.

    It is the stack of GLU blocks of the hidden size and width that the config states for the
    language model; among several such, the one beside the table of token embeddings, or those that
    the family is known to have (an encoder and a decoder). Towers for images or sound, and draft
    layers, may hold GLU blocks as well.

    Raises:
        UnsupportedModelError: There is none, or more than one, or its layers are quantized; names
            what was found.
    """
    grouped = tensors_by_layer(tensors)
    stated = stated_sizes(config)
    gates = _GATES if has_gate(config) else {"mlp.up_proj.weight"}
    plain = [stem for stem in grouped if not draft_root(stem + ".0") and not is_tower(stem)]
    gated = [
        stem
        for stem in plain or grouped
        if has_experts(grouped[stem]) or any(gates & set(names) for names in grouped[stem].values())
    ]
    fitting = [stem for stem in gated if _fits(grouped[stem], tensors, stated)]
    alone = gated if len(plain) == 1 else []
    known = [word for word, _ in family_in(config).stacks]
    if pair := [stem for word in known for stem in gated if word in stem.split(".")]:
        return tuple(pair)
    beside = [stem for stem in fitting or gated if table_beside([stem], tensors)] or alone
    chosen = fitting if len(fitting) == 1 else beside
    if len(chosen) > 1 or (len(fitting) > 1 and not chosen):
        raise UnsupportedModelError(
            "all GLU blocks of one width must be in one stack of layers; this model has them in "
            f"{', '.join(sorted(chosen or fitting))}"
        )
    for layers in [grouped[stem] for stem in chosen] or grouped.values():
        _refuse_parts(layers)
    if not chosen:
        _refuse_without_blocks(config, grouped, gated, stated)
    return (chosen[0],)


def stated_sizes(config: Mapping[str, Any]) -> Sizes:
    """Hidden size and width by the config or by the defaults of its class.

    Raises:
        UnsupportedModelError: One is not a whole number above 0.
    """
    hidden = _size(config, "hidden_size", text_value(config, "hidden_size"))
    return hidden, _size(config, width_key(config), stated_width(config))


def sizes_of(layers: Layers, tensors: Mapping[str, TensorSpec], stated: Sizes) -> tuple[int, int]:
    """Hidden size and width as stated, else those of most layers.

    Raises:
        UnsupportedModelError: Neither the config nor a plain block states the hidden size.
    """
    if not (shapes := _shapes(layers, tensors)):
        if stated[0] is None:
            raise UnsupportedModelError("config.json must state the hidden_size of the model")
        return stated[0], stated[1] or 0
    most = Counter(shapes).most_common(1)[0][0]
    return stated[0] or most[0], stated[1] or most[1]


def count_layers(config: Mapping[str, Any], stem: str, layers: Layers) -> int:
    """Number of layers of a stack, by the config, its class or the stored tensors.

    Raises:
        CheckpointError: It is no number of layers, or there are fewer.
    """
    key = _count_key(config, stem)
    count = text_value(config, key)
    count = max(layers) + 1 if count is None else count
    if type(count) is not int or count < 1:
        raise CheckpointError(f"{section_name(config)}: {key} must be above 0; got {count!r}")
    if count > max(layers) + 1:
        raise CheckpointError(
            f"{section_name(config)}: {key} is {count}{_unless_stated(config, key)}, but "
            f"{max(layers) + 1} layers are stored"
        )
    return count


def _count_key(config: Mapping[str, Any], stem: str) -> str:
    """The setting that states the number of layers of a stack."""
    stated = (key for word, key in family_in(config).stacks if word in stem.split("."))
    return next(stated, "num_hidden_layers")


def refuse_layers_beyond(stack: Stack) -> None:
    """Raise UnsupportedModelError where a stored layer is beyond the config's number of layers."""
    config, stem, last = stack.config, stack.stem, max(stack.layers)
    if last >= stack.count:
        raise UnsupportedModelError(
            f"{stem}.{last} is beyond the {stack.count} layers of {section_name(config)} "
            f"({_count_key(config, stem)}); correct the number, or remove the layer from the "
            "files. For a draft layer, set num_nextn_predict_layers in the config"
        )


def refuse_unequal_layers(stack: Stack, widths: Sequence[int]) -> None:
    """Raise where whole blocks are of another width than the config states.

    Args:
        stack: The layers.
        widths: The width of each by the config.

    Raises:
        UnsupportedModelError: Some layers are wider than others, or have no GLU block.
        CheckpointError: All are as wide as each other, but not as the config states, or a layer
            is not as wide as the config states for it.
    """
    config, stem, layers = stack.config, stack.stem, stack.layers
    blocks: dict[int, tuple[int, int]] = {}
    parts = {part for names in layers.values() for part in names}
    if "mlp.gate_proj.weight" in parts and "mlp.up_proj.weight" not in parts:
        raise UnsupportedModelError(
            f"no layer of {stem} has both mlp.gate_proj and mlp.up_proj; widthwise only cuts MLPs "
            "with a gate"
        )
    for layer, names in sorted(layers.items()):
        if not any(name.startswith("mlp.") for name in names):
            if not family_in(config).in_every_layer:
                continue
            raise UnsupportedModelError(
                f"{_why(config)}layer {layer} ({stem}.{layer}) has no GLU block; widthwise only "
                "cuts models with a GLU block in every layer"
            )
        block = _whole_shape(names, stack.tensors)
        if block is None or (blocks and block[0] != next(iter(blocks.values()))[0]):
            return  # a damaged or unknown block, which is checked tensor by tensor
        blocks[layer] = block
    if blocks and (size := next(iter(blocks.values()))[0]) != stack.hidden:
        raise CheckpointError(
            f"{section_name(config)}: hidden_size is {stack.hidden}"
            f"{_unless_stated(config, 'hidden_size')}, but every layer of {stem} has {size}"
        )
    _refuse_widths(config, stem, {layer: shape[1] for layer, shape in blocks.items()}, widths)


def _refuse_widths(
    config: Mapping[str, Any], stem: str, widths: Mapping[int, int], stated: Sequence[int]
) -> None:
    """Raise unless all blocks have the width of the config, or twice that where it may be."""
    factors = block_factors(config)
    others = {
        layer: width
        for layer, width in widths.items()
        if width not in [factor * stated[layer] for factor in factors]
    }
    if others and len(set(stated)) > 1:
        layer, width = next(iter(others.items()))
        raise CheckpointError(
            f"{section_name(config)}: {width_key(config)} of layer {layer} is {stated[layer]}, but "
            f"{stem}.{layer} holds a GLU block of {width} neurons"
        )
    width = stated[0]
    if others and len(set(widths.values())) == 1:
        raise CheckpointError(
            f"{section_name(config)}: {width_key(config)} is {width}"
            f"{_unless_stated(config, width_key(config))}, but every layer of {stem} holds a "
            f"GLU block of {next(iter(others.values()))} neurons"
        )
    if others:
        listed = ", ".join(map(str, list(others)[:8])) + (" ..." if len(others) > 8 else "")
        hold = f"layers {listed} hold" if len(others) > 1 else f"layer {listed} holds"
        neurons = " or ".join(map(str, sorted(set(others.values()))[:4]))
        raise UnsupportedModelError(
            f"{_why(config)}{hold} GLU blocks of {neurons} neurons, the others of {width}; "
            "widthwise cuts layers of several widths where the config lists them or states them in "
            "per_layer_config"
        )


def _why(config: Mapping[str, Any]) -> str:
    """The settings that make layers differ, as the begin of a message."""
    keys = ", ".join(unequal_width_keys(config))
    return f"{section_name(config)}: {keys}: " if keys else ""


def _unless_stated(config: Mapping[str, Any], key: str) -> str:
    """A remark that a setting is the default of its class, where the file has none."""
    return "" if key in text_config(config) else " by default, as it is not stated"


def _size(config: Mapping[str, Any], key: str, value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise UnsupportedModelError(
            f"{section_name(config)}: {key} must be one whole number for all layers; got {value!r}"
        )
    return value


def _shapes(layers: Layers, tensors: Mapping[str, TensorSpec]) -> list[tuple[int, ...]]:
    """Hidden size and width of each GLU block, by its down_proj."""
    names = filter(None, (layer.get("mlp.down_proj.weight") for layer in layers.values()))
    return [tensors[name].shape for name in names if len(tensors[name].shape) == 2]


def _fits(layers: Layers, tensors: Mapping[str, TensorSpec], stated: Sizes) -> bool:
    if has_experts(layers):  # whose widths are others
        downs = (n for names in layers.values() for r, n in names.items() if "down_proj.w" in r)
        return any(stated[0] in (None, *tensors[name].shape) for name in downs)
    return any(
        all(size in (None, stored) for size, stored in zip(stated, shape, strict=True))
        for shape in _shapes(layers, tensors)
    )


def _whole_shape(
    names: Mapping[str, str], tensors: Mapping[str, TensorSpec]
) -> tuple[int, int] | None:
    """Hidden size and width of a block whose matrices agree in them, else None."""
    shapes = {rest: tensors[name].shape for rest, name in names.items()}
    down = shapes.get("mlp.down_proj.weight", ())
    if len(down) != 2:
        return None
    parts = {"mlp.gate_up_proj.weight": 2, "mlp.gate_proj.weight": 1, "mlp.up_proj.weight": 1}
    rows = [shapes[part] == (parts[part] * down[1], down[0]) for part in parts if part in shapes]
    return (down[0], down[1]) if rows and all(rows) else None


def _refuse_parts(layers: Layers) -> None:
    for layer, names in sorted(layers.items()):
        for name in names.values():
            refuse_quantized_tensor(layer, name)


def _refuse_without_blocks(
    config: Mapping[str, Any], grouped: Mapping[str, Layers], gated: list[str], stated: Sizes
) -> None:
    others = [layers for stem, layers in grouped.items() if stem not in gated]
    numbers = sorted({number for layers in others for number in layers})
    by_layer = (layers.get(i, {}).values() for i in numbers for layers in others)
    names = [name for layer in by_layer for name in sorted(layer)]
    ours = [n for n in names if re.search(r"mlp|ffn|fc\d|feed_forward|intermediate", n)]
    listed = ", ".join((ours or names)[:4]) or "no layers at all"
    family = config.get("model_type", "the checkpoint")
    beside = f" (GLU blocks of other sizes: {', '.join(sorted(gated))})" if gated else ""
    sizes = (
        f" of hidden size {stated[0]} and width {stated[1]}, by {section_name(config)}"
        if gated and None not in stated
        else ""
    )
    raise UnsupportedModelError(
        f"layer 0 must hold a GLU block{sizes} (mlp.gate_proj, mlp.up_proj, mlp.down_proj, or "
        f"mlp.gate_up_proj and mlp.down_proj); {family} has {listed}{beside}"
    )
