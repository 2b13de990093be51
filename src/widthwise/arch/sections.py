"""The part of a config that describes the language model, and what its class fills in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache, reduce
from typing import Any

from ..errors import CheckpointError

# Keys under which multimodal configs nest the language model, the usual one first.
TEXT_SECTIONS = (
    *("text_config", "language_config", "llm_config", "thinker_config", "vlm_config"),
    *("language_model_config", "lm_config", "text_model_config", "text_model"),
    *("language_model", "llm", "decoder_config", "decoder"),
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


def text_model_type(config: Mapping[str, Any]) -> Any:
    """Family of the language model as its section names it, or else the config; None without."""
    return text_config(config).get("model_type", config.get("model_type"))


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
        return CONFIG_MAPPING[family].from_dict(_with_floats(config))
    except Exception as error:  # of many kinds: each family checks its settings in its way
        cause = " ".join(str(error).split())
        raise CheckpointError(
            f"config.json: transformers cannot read it as {family}: {cause}"
        ) from error


def language_config(config: Mapping[str, Any]) -> Any:
    """The config of the language model alone as an object of its class, or None; `class_config`."""
    whole = class_config(config)
    return None if whole is None else whole.get_text_config(decoder=True)


def _filled_in(config: Mapping[str, Any]) -> Any:
    """`class_config` to read from: the object is shared by all who ask for the same config."""
    return _read_once(json.dumps(config, default=str))


@lru_cache(maxsize=8)
def _read_once(text: str) -> Any:
    """Classes check and print what they are made of: milliseconds, for dozens of settings."""
    return class_config(json.loads(text))


def _with_floats(value: Any) -> Any:
    """A copy in which `{"__float__": "Infinity"}`, as transformers writes it, is a number again."""
    if isinstance(value, Mapping):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: _with_floats(each) for key, each in value.items()}
    return [_with_floats(each) for each in value] if isinstance(value, list) else value


def text_value(config: Mapping[str, Any], key: str) -> Any:
    """A setting of the language model: as the file states it, else its class's default, else None.

    Files often leave out what equals the default of the class. A key with a dot is a setting of
    another section (`"encoder.num_hidden_layers"`).

    Raises:
        CheckpointError: The class refuses the config.
    """
    section, _, name = key.rpartition(".")
    if section:
        part = config.get(section)
        if isinstance(part, Mapping) and name in part:
            return part[name]
        return getattr(getattr(_filled_in(config), section, None), name, None)
    text = text_config(config)
    if key in text:
        return text[key]
    return class_value(config, key)


def class_value(config: Mapping[str, Any], key: str) -> Any:
    """A setting of the language model as its class in transformers has it, or None.

    Raises:
        CheckpointError: The class refuses the config.
    """
    path, whole = text_path(config), _filled_in(config)
    if whole is not None and not path:
        part = whole.get_text_config(decoder=True)
    else:
        part = reduce(lambda part, name: getattr(part, name, None), path, whole)
    part = _filled_in(text_config(config)) if part is None else part
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
    whole = _filled_in(config)
    if whole is not None:
        return bool(getattr(whole, key, False))
    return bool(text_value(config, key) if key in text_config(config) else config.get(key))
