"""A checkpoint whose layers have widths of their own, and the small file of code that loads it.

A config of transformers states one width for all layers. A compact checkpoint therefore brings a
model type and a file of its own, which needs transformers and nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...arch import Architecture, text_path
from ...errors import UnsupportedModelError
from ..plan import WIDTHS_KEY, Plan
from .reader import COMPACT_TYPE, Checkpoint

COMPACT_FILE = "widthwise_compact.py"

_CODE = '''\
"""{model_class} whose layers have widths of their own. Needs transformers and torch only."""

import torch
from transformers import {config_class}, {model_class}

# Parts of a GLU block: the size that is its width, and how often it holds it.
PARTS = {{
{parts}
}}


class CompactConfig({config_class}):
    """`{widths_key}`: neurons of each layer."""

    model_type = "{model_type}"


class CompactForCausalLM({model_class}):
    """The model of the family, each GLU block cut to its own width."""

    config_class = CompactConfig

    def __init__(self, config):
        super().__init__(config)
        layers = self.get_submodule("{stem}")
        for layer, width in zip(layers, config.{widths_key}, strict=True):
            narrow(layer.{block}, width)


def narrow(block, width):
    """The first neurons of a block."""
    if hasattr(block, "intermediate_size"):
        block.intermediate_size = width
    for name, (size, count) in PARTS.items():
        linear = getattr(block, name)
        setattr(linear, size, count * width)
        weight = linear.weight[: linear.out_features, : linear.in_features]
        linear.weight = torch.nn.Parameter(weight.detach().clone())
        if linear.bias is not None:
            linear.bias = torch.nn.Parameter(linear.bias[: linear.out_features].detach().clone())


CompactConfig.register_for_auto_class()
CompactForCausalLM.register_for_auto_class("AutoModelForCausalLM")
'''


def check_compact(checkpoint: Checkpoint) -> None:
    """Raise UnsupportedModelError unless a compact checkpoint can be made of this one."""
    _classes(checkpoint)


def write_compact(folder: Path, checkpoint: Checkpoint, plan: Plan, config: dict[str, Any]) -> None:
    """Write the code of a compact checkpoint, and its config."""
    config_class, model_class = _classes(checkpoint)
    architecture = checkpoint.architecture
    model_type = COMPACT_TYPE + architecture.model_type
    module = COMPACT_FILE.removesuffix(".py")
    code = _CODE.format(
        config_class=config_class,
        model_class=model_class,
        model_type=model_type,
        stem=architecture.stem,
        block=architecture.groups[0].name.removeprefix(f"{architecture.stem}.0."),
        parts="\n".join(_parts(architecture)),
        widths_key=WIDTHS_KEY,
    )
    (folder / COMPACT_FILE).write_text(code, encoding="utf8")
    entries = {
        "model_type": model_type,
        "architectures": ["CompactForCausalLM"],
        "auto_map": {
            "AutoConfig": f"{module}.CompactConfig",
            "AutoModelForCausalLM": f"{module}.CompactForCausalLM",
        },
    }
    text = json.dumps({**config, **entries}, indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf8")


def _parts(architecture: Architecture) -> Iterator[str]:
    """Lines of the table of parts: the linear layers of a block, by the tensors of the first."""
    for name, cut in architecture.cuts.items():
        if cut.group == 0 and name.endswith(".weight"):
            side = "out_features" if cut.axis == 0 else "in_features"
            yield f'    "{name.split(".")[-2]}": ("{side}", {cut.parts}),'


def _classes(checkpoint: Checkpoint) -> tuple[str, str]:
    """Names of the config and of the model class in transformers.

    Raises:
        UnsupportedModelError: transformers itself does not build the model, or only as a part of
            another one.
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
        raise UnsupportedModelError(
            f"{checkpoint.name}: only a causal language model that transformers itself defines can "
            f"be stored as compact, and this is {named[0] or family}: use padded"
        )
    return str(config_class.__name__), str(model_class.__name__)
