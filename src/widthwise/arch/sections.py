"""The part of a config that describes the language model, and what its class fills in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from ..errors import CheckpointError, UnsupportedModelError

# Keys under which multimodal configs nest the language model, the usual one first.
TEXT_SECTIONS = (
    *("text_config", "language_config", "llm_config", "thinker_config", "vlm_config"),
    *("language_model_config", "lm_config", "text_model_config", "text_model"),
    *("language_model", "llm", "decoder_config", "decoder"),
)

WIDTH_KEY = "intermediate_size"
# Other words for it, mostly in configs of custom code.
WIDTH_KEYS = (
    *(WIDTH_KEY, "ffn_hidden_size", "ffn_dim", "ffn_size", "n_inner", "inner_size", "d_ff"),
    *("ffn_intermediate_size", "feed_forward_size", "mlp_hidden_size", "mlp_dim", "d_inner_mlp"),
)

TOWER_WORDS = (
    {"vision", "visual", "image", "video"},
    {"audio", "speech", "sound", "voice"},
    {"talker"},
)  # words for one kind of tower


def text_path(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Keys that lead to the section of the language model; () where it is the whole config.

    Under a key that is not known, it is the one section that has a vocabulary.
    """
    for key in TEXT_SECTIONS:
        section = config.get(key)
        if isinstance(section, Mapping):
            return (key, *text_path(section))
    if "hidden_size" in config:
        return ()
    others = sections_with(config, "vocab_size")
    return (others[0], *text_path(config[others[0]])) if len(others) == 1 else ()


def sections_with(config: Mapping[str, Any], key: str) -> list[str]:
    """Names of the sections of a config that state a setting."""
    return [name for name, part in config.items() if isinstance(part, Mapping) and key in part]


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config that describes the language model (multimodal configs nest it)."""
    return reduce(lambda part, key: part[key], text_path(config), config)


def copied_sections(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A copy of a config, and in it copies of the sections that lead to the language model's."""
    parts = [dict(config)]
    for key in text_path(config):
        parts[-1][key] = dict(parts[-1][key])
        parts.append(parts[-1][key])
    return parts


def section_name(config: Mapping[str, Any]) -> str:
    """Name of the language model's section in messages (`config.json: text_config`)."""
    return ": ".join(("config.json", ".".join(text_path(config)))).removesuffix(": ")


def is_tower(name: str) -> bool:
    """Whether a name is of a tower for images or sound, or of a model that speaks."""
    return any(word in name for group in TOWER_WORDS for word in group)


def class_config(config: Mapping[str, Any]) -> Any:
    """The config as an object of its class in transformers, defaults filled in, or None.

    None stands for a `model_type` that transformers does not know (custom code).

    Raises:
        CheckpointError: The class refuses the config.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    family = str(config.get("model_type"))
    if family not in CONFIG_MAPPING:
        return None
    try:
        return CONFIG_MAPPING[family].from_dict(dict(config))
    except Exception as error:  # of many kinds: each family checks its settings in its way
        cause = " ".join(str(error).split())
        raise CheckpointError(
            f"config.json: transformers cannot read it as {family}: {cause}"
        ) from error


def text_value(config: Mapping[str, Any], key: str) -> Any:
    """A setting of the language model: as the file states it, else its class's default, else None.

    Files often leave out what equals the default of the class.

    Raises:
        CheckpointError: The class refuses the config.
    """
    text = text_config(config)
    if key in text:
        return text[key]
    value = class_value(config, key)
    if value is None and key == WIDTH_KEY:
        return next((text[name] for name in WIDTH_KEYS if type(text.get(name)) is int), None)
    return value


def class_value(config: Mapping[str, Any], key: str) -> Any:
    """A setting of the language model as its class in transformers has it, or None.

    Raises:
        CheckpointError: The class refuses the config.
    """
    path, whole = text_path(config), class_config(config)
    if whole is not None and not path:
        part = whole.get_text_config(decoder=True)
    else:
        part = reduce(lambda part, name: getattr(part, name, None), path, whole)
    part = class_config(text_config(config)) if part is None else part
    try:
        return getattr(part, key, None)
    except RuntimeError:  # transformers: the layers differ in it
        return None


def ties_embeddings(config: Mapping[str, Any]) -> bool:
    """Whether transformers ties the LM head to the embeddings, unless both are stored and differ.

    Raises:
        CheckpointError: The class refuses the config.
    """
    key = "tie_word_embeddings"
    if not text_path(config) and key in config:
        return bool(config[key])
    whole = class_config(config)
    if whole is not None:
        return bool(getattr(whole, key, False))
    return bool(text_value(config, key) if key in text_config(config) else config.get(key))


def refuse_unequal_widths(config: Mapping[str, Any]) -> None:
    """Raise UnsupportedModelError where a config gives layers different widths."""
    text = text_config(config)
    where, width = section_name(config), text_value(config, WIDTH_KEY)
    stating = sections_with(config, WIDTH_KEY) if width is None and text is config else []
    if unknown := [name for name in stating if not is_tower(name)]:
        raise UnsupportedModelError(
            f"config.json: {WIDTH_KEY} is in {', '.join(unknown)}, but widthwise looks for the "
            f"width of the language model in {TEXT_SECTIONS[0]}"
        )
    if isinstance(width, list | tuple):
        raise UnsupportedModelError(
            f"{where}: {WIDTH_KEY} lists a width for each layer ({_range(width)}); "
            "widthwise cuts models with one width for all layers"
        )
    shares = text.get("activation_sparsity_pattern")
    shares = shares if isinstance(shares, list | tuple) else [shares]
    if any(isinstance(share, int | float) and share > 0 for share in shares):
        raise UnsupportedModelError(
            f"{where}: by activation_sparsity_pattern a neuron's activation depends on all others "
            "of its layer; widthwise cuts layers whose neurons are independent"
        )
    layers = text.get("per_layer_config")
    widths = {
        str(layer): settings[WIDTH_KEY]
        for layer, settings in (layers.items() if isinstance(layers, Mapping) else ())
        if isinstance(settings, Mapping) and settings.get(WIDTH_KEY, width) != width
    }
    if widths:
        raise UnsupportedModelError(
            f"{where}: per_layer_config gives layers {_listed(widths)} a different {WIDTH_KEY} "
            f"({_range([*widths.values()])}); widthwise cuts models with one width for all layers"
        )


def unequal_width_keys(config: Mapping[str, Any]) -> list[str]:
    """Keys of the config by which some layers may be wider than others or lack a block."""
    text = text_config(config)
    keys = ("use_double_wide_mlp", "per_layer_config", "block_configs", "ffn_multipliers")
    return [key for key in keys if text.get(key)]


def _range(values: Any) -> str:
    numbers = sorted({v for v in values if isinstance(v, int)})
    if not numbers:
        return "no whole numbers"
    if len(numbers) == 1:
        return f"{numbers[0]} in all {len(values)}"
    return f"{numbers[0]} to {numbers[-1]}"


def _listed(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
