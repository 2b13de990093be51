"""A checkpoint whose layers have widths of their own, and the small file of code that loads it.

transformers reads widths by layers in a config, as `per_layer_config`, and builds all layers at one
width all the same. A compact checkpoint therefore brings a model type and a file of its own, which
needs transformers and nothing of ours.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...arch import Architecture, at_layer_widths, text_path, width_key
from ...errors import UnsupportedModelError
from ..compact_config import COMPACT_TYPE
from ..plan import WIDTHS_KEY, Plan
from .reader import Checkpoint

COMPACT_FILE = "widthwise_compact.py"

_CODE = '''\
"""{model_class} whose layers have widths of their own. Needs transformers only."""

from transformers import {config_class}, {model_class}

# Parts of a GLU block: the size that is its width, and how often it holds it.
PARTS = {{
{parts}
}}


class CompactConfig({config_class}):
    """`per_layer_config`: what differs between layers, their widths among it."""

    model_type = "{model_type}"


class CompactForCausalLM({model_class}):
    """The model of the family, each GLU block cut to its own width."""

    config_class = CompactConfig

    def __init__(self, config):
        super().__init__(config)
        layers = self.get_submodule("{stem}")
        for layer, own in zip(layers, config.per_layer_config, strict=True):
            narrow(layer.{block}, PARTS, own.{key}{factor})


{narrow}

CompactConfig.register_for_auto_class()
CompactForCausalLM.register_for_auto_class("AutoModelForCausalLM")
'''


def narrow(block: Any, parts: Any, width: int) -> None:
    """Leave a block its first neurons."""
    if hasattr(block, "intermediate_size"):
        block.intermediate_size = width
    for name, (size, count) in parts.items():
        linear = getattr(block, name)
        setattr(linear, size, count * width)
        weight = linear.weight[: linear.out_features, : linear.in_features]
        linear.weight = type(linear.weight)(weight.detach().clone())
        if linear.bias is not None:
            bias = linear.bias[: linear.out_features]
            linear.bias = type(linear.bias)(bias.detach().clone())


def check_compact(checkpoint: Checkpoint) -> None:
    """Raise UnsupportedModelError unless a compact checkpoint can be made of this one."""
    if _classes(checkpoint) is None:
        named = checkpoint.config.get("architectures") or [checkpoint.config.get("model_type")]
        raise UnsupportedModelError(
            f"{checkpoint.name}: only a causal language model that transformers itself defines can "
            f"be stored as compact, and this is {named[0]}: use padded"
        )


def write_compact(folder: Path, checkpoint: Checkpoint, plan: Plan, config: dict[str, Any]) -> None:
    """Write the code of a compact checkpoint, and its config.

    The config states the widths as `per_layer_config`, so that the code can go as soon as
    transformers builds layers by it.
    """
    config_class, model_class = (each.__name__ for each in _classes(checkpoint) or ())
    architecture = checkpoint.architecture
    model_type = COMPACT_TYPE + architecture.model_type
    module = COMPACT_FILE.removesuffix(".py")
    stated = at_layer_widths(config, plan.widths)
    key = width_key(stated)
    factor = stated[key] // max(plan.widths)
    code = _CODE.format(
        config_class=config_class,
        model_class=model_class,
        model_type=model_type,
        stem=architecture.stem,
        block=_block(architecture),
        parts="\n".join(f'    "{name}": {part},' for name, part in _parts(architecture).items()),
        key=key,
        factor="" if factor == 1 else f" // {factor}",
        narrow=_without_types(inspect.getsource(narrow)),
    ).replace("'", '"')
    (folder / COMPACT_FILE).write_text(code, encoding="utf8")
    entries = {
        "model_type": model_type,
        "architectures": ["CompactForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{module}.CompactConfig",
            "AutoModelForCausalLM": f"{module}.CompactForCausalLM",
        },
        "allow_global_per_layer_attribute_access": True,
    }
    stated.pop(WIDTHS_KEY, None)
    text = json.dumps({**stated, **entries}, indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf8")


def _without_types(code: str) -> str:
    """A function's code without the types of its arguments, which its file does not import."""
    return re.sub(r": Any|: int| -> None", "", code)


def compact_classes(checkpoint: Checkpoint) -> tuple[Any, Any]:
    """The class of a model whose `per_layer_config` gives layers widths of their own; its config.

    transformers itself builds all layers at one width; what comes from here narrows them, as the
    code in a compact checkpoint does, which is not run.

    Raises:
        UnsupportedModelError: transformers does not build the model at one width either.
    """
    classes, architecture = _classes(checkpoint), checkpoint.architecture
    if classes is None:
        raise UnsupportedModelError(
            f"{checkpoint.name}: per_layer_config gives layers several widths, which widthwise "
            "builds only of language models that transformers itself defines"
        )
    config_class, model_class = classes
    parts, widths = _parts(architecture), architecture.neurons()

    def build(self: Any, config: Any) -> None:
        model_class.__init__(self, config)
        layers = self.get_submodule(architecture.stem)
        for layer, width in zip(layers, widths, strict=True):
            narrow(layer.get_submodule(_block(architecture)), parts, width)

    config = config_class.from_dict(
        {**checkpoint.config, "allow_global_per_layer_attribute_access": True}
    )
    return type(model_class.__name__, (model_class,), {"__init__": build}), config


def _block(architecture: Architecture) -> str:
    """Name of a block within its layer."""
    return architecture.groups[0].name.removeprefix(f"{architecture.stem}.0.")


def _parts(architecture: Architecture) -> dict[str, tuple[str, int]]:
    """For each linear layer of a block, the size that follows the width, and how often it does."""
    return {
        name.split(".")[-2]: ("out_features" if cut.axis == 0 else "in_features", cut.parts)
        for name, cut in architecture.cuts.items()
        if cut.group == 0 and name.endswith(".weight")
    }


def _classes(checkpoint: Checkpoint) -> tuple[Any, Any] | None:
    """The classes of config and model in transformers.

    None where transformers itself does not build the model, or only as a part of another one.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config: Mapping[str, Any] = checkpoint.config
    family = str(config.get("model_type"))
    named = config.get("architectures") or [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(family)]
    model_class: Any = getattr(transformers, str(named[0]), None)
    config_class: Any = getattr(model_class, "config_class", None)
    is_whole = isinstance(model_class, type) and not ("auto_map" in config or text_path(config))
    is_whole = is_whole and checkpoint.architecture.is_causal
    if not is_whole or config_class is None or config_class.model_type != family:
        return None
    return config_class, model_class
