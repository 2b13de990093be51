"""How a config states the width of its language model, and states another one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UnsupportedModelError
from .architecture import GroupKind
from .families import ALL_MIXTURE_KEYS, WIDTH_KEYS, ModelFamily, family_of
from .layer_widths import (
    OVERRIDES,
    listed_widths,
    overrides,
    state_layer_widths,
    widths_by_layer,
)
from .sections import (
    TEXT_SECTIONS,
    class_value,
    copied_sections,
    is_tower,
    section_name,
    sections_with,
    text_config,
    text_model_type,
    text_value,
)

RUN_EXPERTS = "experts_implementation"  # the setting by which transformers runs experts
_ROW_NUMBERS = 8  # of 2 bytes each, in 16 bytes
# What other programs than transformers call a setting of the width.
_FOREIGN_KEYS = ("hidden_dim", "feed_forward_length", "ffn_dim_multiplier", "block_ff_dim")
_NAMED = re.compile(
    rf"\b(?:{'|'.join(sorted({*WIDTH_KEYS, *_FOREIGN_KEYS, *ALL_MIXTURE_KEYS}))})\b"
)


def names_width(text: str) -> bool:
    """Whether a text has the name of a setting in it that states a width, in any program's words.

    >>> names_width('{"ffn_dim": 53}'), names_width('{"word_embedding_dimension": 53}')
    (True, False)
    """
    return _NAMED.search(text) is not None


def family_in(config: Mapping[str, Any]) -> ModelFamily:
    """How the family of a config's language model states its width."""
    return family_of(text_model_type(config))


def has_gate(config: Mapping[str, Any]) -> bool:
    """Whether the blocks of a config's language model have a gate.

    Raises:
        CheckpointError: The class refuses the config.
    """
    family = family_in(config)
    if family.gated_by is None:
        return family.has_gate
    return str(text_value(config, family.gated_by)).startswith("gated")


def block_factors(config: Mapping[str, Any]) -> tuple[int, ...]:
    """How often a block may have the width of its layer: twice as well, by a switch of the config.

    Raises:
        CheckpointError: The class refuses the config.
    """
    doubled_by = family_in(config).doubled_by
    return (1, 2) if doubled_by and text_value(config, doubled_by) else (1,)


def width_key(config: Mapping[str, Any]) -> str:
    """The setting that states the width (`"intermediate_size"`)."""
    usual, *others = family_in(config).width_keys
    text = text_config(config)
    if usual in text or class_value(config, usual) is not None:
        return usual
    return next((key for key in others if type(text.get(key)) is int), usual)


def stated_width(config: Mapping[str, Any]) -> Any:
    """The width as a config or its class's default states it; unchecked, None without one.

    It is None as well where a list states one for each layer, and, of a family whose class computes
    the width from what is stated, until a cut has turned that off.

    Raises:
        CheckpointError: The class refuses the config.
    """
    family, key = family_in(config), width_key(config)
    if family.adjusted_by and text_value(config, family.adjusted_by):
        return None
    if listed_widths(config, key) is not None:
        return None
    value = text_value(config, key)
    return value // family.factor if type(value) is int else value


def class_width(config: Mapping[str, Any]) -> Any:
    """The width that the class of a config takes from it; None where it has no such setting.

    Raises:
        CheckpointError: The class refuses the config.
    """
    family = family_in(config)
    value = class_value(config, family.width_keys[0])
    return value // family.factor if type(value) is int else value


def width_settings(
    config: Mapping[str, Any], kinds: tuple[GroupKind, ...], widths: tuple[int, ...]
) -> dict[str, Any]:
    """The settings, by their usual names, with which a family states widths, one of each kind.

    Experts whose rows are no multiples of 16 bytes need another: transformers runs all of them at
    once otherwise, by a product that torch does not compute for such rows.

    Args:
        config: That of the dense model.
        kinds: Its kinds.
        widths: The new ones.
    """
    if _are_by_layer(kinds):
        text = text_config(at_widths(config, kinds, widths))
        return {key: text[key] for key in (kinds[0].key, OVERRIDES) if key in text}
    if not _is_dense(kinds):
        stated = {kind.key: width for kind, width in zip(kinds, widths, strict=True)}
        return stated | _one_by_one(kinds, widths)
    family = family_in(config)
    settings: dict[str, Any] = {family.width_keys[0]: widths[0] * family.factor}
    return settings | ({family.adjusted_by: False} if family.adjusted_by else {})


def _one_by_one(kinds: tuple[GroupKind, ...], widths: tuple[int, ...]) -> dict[str, str]:
    """The setting to run experts one by one, where rows of their down are odd."""
    pairs = zip(kinds, widths, strict=True)
    is_odd = any(kind.name == "experts" and has_odd_rows(width) for kind, width in pairs)
    return {RUN_EXPERTS: "eager"} if is_odd else {}


def has_odd_rows(width: int) -> bool:
    """Whether rows of so many numbers, of 2 bytes each, are no multiples of 16 bytes."""
    return width % _ROW_NUMBERS != 0


def _are_by_layer(kinds: tuple[GroupKind, ...]) -> bool:
    return any(kind.layers for kind in kinds)


def _is_dense(kinds: tuple[GroupKind, ...]) -> bool:
    """Whether a model has no experts: its family states the width then, in whatever way it does."""
    return [kind.name for kind in kinds] == ["mlp"]


def at_width(config: Mapping[str, Any], width: int, dense: int) -> dict[str, Any]:
    """A copy of the config that states another width wherever it states that of the layers.

    Where it states none, as what equals the default of the class may be left out, the width is
    added to the section of the language model.

    Args:
        config: The parsed config.json.
        width: The new one.
        dense: The one that the layers have.
    """
    family, parts = family_in(config), copied_sections(config)
    for part in parts:
        is_text = part is parts[-1]
        for key in family.width_keys:
            states_it = key in part and part[key] == dense * family.factor
            if states_it or (is_text and key in part and family.adjusted_by):
                part[key] = width * family.factor
    if not any(parts[-1].get(key) == width * family.factor for key in family.width_keys):
        parts[-1][family.width_keys[0]] = width * family.factor
    if family.adjusted_by:
        parts[-1][family.adjusted_by] = False
    for twin in family.twins:
        stated = parts[0].get(twin) or {}
        parts[0][twin] = {**stated, family.width_keys[0]: width * family.factor}
    return parts[0]


def at_widths(
    config: Mapping[str, Any], kinds: tuple[GroupKind, ...], widths: tuple[int, ...]
) -> dict[str, Any]:
    """A copy of the config that states other widths of the kinds of groups, one each."""
    if _are_by_layer(kinds):
        return _at_layer_widths(config, kinds, widths)
    if _is_dense(kinds):
        return at_width(config, widths[0], kinds[0].width)
    parts = copied_sections(config)
    for kind, width in zip(kinds, widths, strict=True):
        for part in parts:
            if part is parts[-1] or part.get(kind.key) == kind.width:
                part[kind.key] = width
    parts[-1].update(_one_by_one(kinds, widths))
    return parts[0]


def layer_widths(config: Mapping[str, Any], layers: int) -> tuple[int, ...] | None:
    """The width of each of so many layers, where a config states them; None for one of all.

    Raises:
        CheckpointError: What it states are no widths of so many layers.
    """
    stated = widths_by_layer(config, width_key(config), layers)
    return stated and tuple(width // family_in(config).factor for width in stated)


def at_layer_widths(config: Mapping[str, Any], widths: Sequence[int]) -> dict[str, Any]:
    """A copy of the config that states the width of each layer, in a list where it has one.

    Else in `per_layer_config`, and as the width of all the largest of them.
    """
    parts, factor = copied_sections(config), family_in(config).factor
    state_layer_widths(config, parts[-1], width_key(config), [factor * each for each in widths])
    return parts[0]


def is_overridden(config: Mapping[str, Any]) -> bool:
    """Whether `per_layer_config` gives some layers another width than the config states for all."""
    return bool(overrides(config, width_key(config)))


def _at_layer_widths(
    config: Mapping[str, Any], kinds: tuple[GroupKind, ...], widths: tuple[int, ...]
) -> dict[str, Any]:
    """A copy of the config that states other widths for the layers of each kind."""
    layers = text_value(config, "num_hidden_layers") or 1 + max(max(k.layers) for k in kinds)
    each = list(layer_widths(config, layers) or ())
    for kind, width in zip(kinds, widths, strict=True):
        for layer in kind.layers:
            each[layer] = width
    return at_layer_widths(config, each)


def refuse_unknown_section(config: Mapping[str, Any]) -> None:
    """Raise UnsupportedModelError where only sections that are not known state a width."""
    text, key = text_config(config), width_key(config)
    stating = sections_with(config, key) if text is config and stated_width(config) is None else []
    if unknown := [name for name in stating if not is_tower(name)]:
        raise UnsupportedModelError(
            f"config.json: {key} is in {', '.join(unknown)}, but widthwise looks for the "
            f"width of the language model in {TEXT_SECTIONS[0]}"
        )


def refuse_unequal_twins(config: Mapping[str, Any]) -> None:
    """Raise UnsupportedModelError where an encoder has other sizes than its decoder."""
    for twin in family_in(config).twins:
        for size in (width_key(config), "hidden_size"):
            values = text_value(config, size), text_value(config, f"{twin}.{size}")
            if values[0] != values[1]:
                raise UnsupportedModelError(
                    f"{section_name(config)}: {size} is {values[0]}, and {values[1]} in {twin}; "
                    "widthwise cuts an encoder and a decoder of the same sizes"
                )


def unequal_width_keys(config: Mapping[str, Any]) -> list[str]:
    """Keys of the config by which some layers may be wider than others or lack a block."""
    text = text_config(config)
    keys = ("use_double_wide_mlp", OVERRIDES, "block_configs", "ffn_multipliers")
    return [key for key in keys if text.get(key)]
