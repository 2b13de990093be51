"""Widths that a config states for each layer by itself: a list, or overrides of one setting.

A list is how Gemma 3n states them. `per_layer_config` is how transformers states whatever differs
between layers: a number of a layer to the settings that it has in place of those of all layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError
from .architecture import GroupKind
from .sections import class_value, section_name, text_config, text_value

OVERRIDES = "per_layer_config"
_SPARSITY = "activation_sparsity_pattern"


def widths_by_layer(config: Mapping[str, Any], key: str, layers: int) -> tuple[int, ...] | None:
    """What a config states as the width of each layer; None where it states one for all.

    Args:
        config: The parsed config.json.
        key: The setting of the width.
        layers: Number of layers.

    Raises:
        CheckpointError: What it states are no widths of so many layers.
    """
    listed = listed_widths(config, key)
    if listed is None and not overrides(config, key):
        return None
    widths = _overridden(config, key, layers) if listed is None else listed
    for layer, width in enumerate(widths):
        if type(width) is not int or width < 1:
            raise CheckpointError(
                f"{section_name(config)}: the {key} of layer {layer} must be a whole number above "
                f"0; got {width!r}"
            )
    if len(widths) != layers:
        raise CheckpointError(
            f"{section_name(config)}: {key} lists widths of {len(widths)} layers, but the model "
            f"has {layers}"
        )
    return tuple(widths)


def listed_widths(config: Mapping[str, Any], key: str) -> Sequence[Any] | None:
    """The list of widths of a config, or that which its class makes of one; None without one."""
    for value in (text_value(config, key), class_value(config, key)):
        if isinstance(value, list | tuple):
            return value
    return None


def overrides(config: Mapping[str, Any], key: str) -> dict[int, Any]:
    """Layers to the value of a setting that `per_layer_config` gives them in place of the usual."""
    return {
        layer: settings[key]
        for layer, settings in _layer_settings(text_config(config)).items()
        if key in settings
    }


def kinds_by_layer(key: str, widths: Mapping[int, int]) -> tuple[GroupKind, ...]:
    """One kind of group for the layers of each width, the widest first.

    >>> [(kind.name, kind.layers) for kind in kinds_by_layer("size", {0: 8, 1: 16, 2: 8})]
    [('mlp16', (1,)), ('mlp8', (0, 2))]
    """
    sizes = sorted(set(widths.values()), reverse=True)
    return tuple(
        GroupKind(
            "mlp" if len(sizes) == 1 else f"mlp{size}",
            key,
            size,
            tuple(layer for layer, width in widths.items() if width == size),
        )
        for size in sizes
    )


def state_layer_widths(
    config: Mapping[str, Any], text: dict[str, Any], key: str, widths: Sequence[int]
) -> None:
    """State a width for each layer in the way of the config: as a list, or else by overrides.

    By overrides, the setting itself becomes the largest width, as for padded layers.

    Args:
        config: The config as it was.
        text: The section of the language model in its copy, which is changed.
        key: The setting of the width.
        widths: For each layer.
    """
    if listed_widths(config, key) is not None:
        text[key] = list(widths)
        return
    text[key] = max(widths)
    layers = _layer_settings(text)
    for layer, width in enumerate(widths):
        others = {name: each for name, each in layers.pop(layer, {}).items() if name != key}
        if settings := others | ({} if width == text[key] else {key: width}):
            layers[layer] = settings
    text[OVERRIDES] = {str(layer): layers[layer] for layer in sorted(layers)}


def kept_whole(config: Mapping[str, Any], key: str, layers: int) -> frozenset[int]:
    """Layers that are not cut, as what a neuron does there depends on all others of its layer.

    The sparse layers of Gemma 3n let those neurons through that are above a threshold, which is
    made of the mean and the deviation of all: with fewer of them, it would be another one.

    Raises:
        UnsupportedModelError: All are, or the config cannot state a width for those alone.
    """
    shares = text_value(config, _SPARSITY)
    shares = shares if isinstance(shares, list | tuple) else [shares] * layers
    result = frozenset(i for i, share in enumerate(shares) if _is_above_zero(share))
    if result and (listed_widths(config, key) is None or len(result) >= layers):
        raise UnsupportedModelError(
            f"{section_name(config)}: by {_SPARSITY} a neuron's activation depends on all others "
            f"of its layer, in {'every layer' if len(result) >= layers else 'some layers'}; "
            "widthwise cuts the other layers where the config lists a width for each"
        )
    return result


def _is_above_zero(share: Any) -> bool:
    return isinstance(share, int | float) and share > 0


def _overridden(config: Mapping[str, Any], key: str, layers: int) -> list[Any]:
    own = overrides(config, key)
    if beyond := [layer for layer in own if not 0 <= layer < layers]:
        raise CheckpointError(
            f"{section_name(config)}: {OVERRIDES} has an entry for layer {beyond[0]}, but the "
            f"model has {layers} layers"
        )
    usual = text_value(config, key)
    return [own.get(layer, usual) for layer in range(layers)]


def _layer_settings(text: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The entries of `per_layer_config` by numbers of layers."""
    return dict(_entries(text.get(OVERRIDES)))


def _entries(stated: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for layer, settings in stated.items() if isinstance(stated, Mapping) else ():
        if str(layer).isdigit() and isinstance(settings, Mapping):
            yield int(layer), dict(settings)
