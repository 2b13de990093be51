"""The class of transformers that builds the model of a checkpoint, or why there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arch import is_overridden
from ...errors import CheckpointError, UnsupportedModelError
from .compact import compact_classes

if TYPE_CHECKING:
    from .reader import Checkpoint

# Auto classes whose models write text, the ones for text alone first.
AUTO_CLASSES = ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM")
# Of models that do not continue a text, such as encoders: they can be cut and refitted.
_OTHER_CLASSES = (
    "AutoModelForMaskedLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForTextEncoding",
    "AutoModel",
)


@dataclass(frozen=True, kw_only=True)
class ModelClass:
    """What `from_pretrained` of an auto class would build.

    Attributes:
        auto_class: Name of the auto class in transformers.
        model_class: The class of the model.
        config: What it is built from; of a text model within a larger one, the text part.
    """

    auto_class: str
    model_class: Any
    config: Any

    @property
    def name(self) -> str:
        """Name of the model's class."""
        return str(self.model_class.__name__)


def cause_of(error: BaseException) -> str:
    """The first line of an error's message; the whole message where that line ends in a colon."""
    lines = [line.strip() for line in str(error).strip().split("\n")]
    text = " ".join(lines) if lines[0].endswith(":") else lines[0]
    is_plain = isinstance(error, OSError | ValueError | RuntimeError | ImportError) and text
    return text if is_plain else f"{type(error).__name__}: {text}".rstrip(": ")


def missing_package(error: BaseException) -> str:
    """The package that an ImportError of transformers asks for, or nothing."""
    named = re.search(r"pip install\s+(?:-U\s+|--upgrade\s+)?['\"`]?([\w.\[\]-]+)", str(error))
    if named and (isinstance(error, ImportError) or "is required to" in str(error)):
        return named[1]
    return str(error.name or "") if isinstance(error, ModuleNotFoundError) else ""


def unknown_class(checkpoint: Checkpoint) -> str | None:
    """Why the installed transformers has no class for a checkpoint, or None where it has one."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config, version = checkpoint.config, transformers.__version__
    family = config.get("model_type")
    if not isinstance(family, str) or not family:
        return f"{checkpoint.path / 'config.json'}: names no model_type, so no class can be built"
    if family in CONFIG_MAPPING:
        return None
    if code := _own_code(config):
        return (
            f"{checkpoint.name}: model type {family!r} needs its own code ({code}), which "
            "widthwise does not run; criteria that only look at weights do not need it"
        )
    written = config.get("transformers_version")
    since = f" (the checkpoint was written by {written})" if isinstance(written, str) else ""
    return (
        f"{checkpoint.name}: transformers {version} does not know the model type {family!r}"
        f"{since}; install one that does (pip install -U transformers)"
    )


def model_class_of(checkpoint: Checkpoint) -> ModelClass:
    """The class that transformers would take for text, and its config.

    It is one that continues texts, or else the one that the config names, or the bare model.

    Raises:
        CheckpointError: transformers cannot read config.json.
        UnsupportedModelError: There is no such class.
    """
    if reason := unknown_class(checkpoint):
        raise UnsupportedModelError(reason)
    if is_overridden(checkpoint.config):
        model_class, config = compact_classes(checkpoint)
        return ModelClass(auto_class=AUTO_CLASSES[0], model_class=model_class, config=config)
    config = _config_of(checkpoint)
    if checkpoint.quantization:  # its weights are handed over dequantized
        for part in (config, config.get_text_config()):
            vars(part).pop("quantization_config", None)
    known = _classes_of(config)
    if not known:
        raise UnsupportedModelError(
            f"{checkpoint.name}: transformers has no class that reads text for the model type "
            f"{checkpoint.config['model_type']!r}"
        )
    writing = [name for name in known if name in AUTO_CLASSES]
    name = (writing or _named(known, checkpoint.config) or [*known][::-1])[0]
    text = config.sub_configs.get("text_config")
    if text is not None and getattr(known[name], "config_class", None) is text:
        config = config.get_text_config()
    return ModelClass(auto_class=name, model_class=known[name], config=config)


def check_causal_class(checkpoint: Checkpoint) -> None:
    """Raise UnsupportedModelError unless the model continues texts, as scores and healing need."""
    if not checkpoint.architecture.is_causal:
        name = model_class_of(checkpoint).name
        raise UnsupportedModelError(
            f"{checkpoint.name} is loaded as {name}, which is not a causal language model: it has "
            "no probability for the next token of a text, so widthwise cannot evaluate, time or "
            "heal it; prune and refit it, and compare its outputs on your task"
        )


def auto_class_of(config: Mapping[str, Any], folder: Path) -> str:
    """Name of the auto class that loads all of a checkpoint, by what its config names."""
    if needs_code(config):
        return next((name for name in AUTO_CLASSES if name in config["auto_map"]), AUTO_CLASSES[0])
    try:
        built = _read_config(folder)
    except CheckpointError:  # of a newer transformers, perhaps; the weights are cut all the same
        return AUTO_CLASSES[0]
    known = _classes_of(built)
    return next(iter(_named(known, config) or known), AUTO_CLASSES[0])


def _classes_of(config: Any) -> dict[str, Any]:
    """The class that each auto class has for a config, those that write text first."""
    import transformers

    classes = (*AUTO_CLASSES, *_OTHER_CLASSES)
    found = {name: _class_in(getattr(transformers, name, None), config) for name in classes}
    return {name: each for name, each in found.items() if each is not None}


def _named(known: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Those auto classes whose class a config names."""
    named = config.get("architectures") or ()
    return [name for name, each in known.items() if each.__name__ in named]


def needs_code(config: Mapping[str, Any]) -> bool:
    """Whether a model is built by code that its config names, and not by transformers."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return bool(config.get("auto_map")) and config.get("model_type") not in CONFIG_MAPPING


def _own_code(config: Mapping[str, Any]) -> str:
    """Names of the files of code that a config asks for."""
    named = config.get("auto_map")
    values = named.values() if isinstance(named, Mapping) else ()
    files = {str(value).rpartition(".")[0].rpartition("--")[2] + ".py" for value in values}
    return ", ".join(sorted(files))


def _config_of(checkpoint: Checkpoint) -> Any:
    """The config of a checkpoint; of a compact one, whose layers are all alike, of its family."""
    if not checkpoint.is_compact:
        return _read_config(checkpoint.path)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING[checkpoint.config["model_type"]].from_dict(checkpoint.config)


def _read_config(folder: Path) -> Any:
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # its checks raise errors of many kinds
        raise CheckpointError(
            f"{folder / 'config.json'}: transformers cannot read it: {cause_of(error)}"
        ) from error


def _class_in(auto: Any, config: Any) -> Any:
    """The class that an auto class has for a config, or None."""
    mapping: Any = getattr(auto, "_model_mapping", {})
    if type(config) not in mapping:
        return None
    result = mapping[type(config)]
    if not isinstance(result, list | tuple):
        return result
    named = getattr(config, "architectures", None) or []
    return next((each for each in result if each.__name__ in named), result[0])
