"""A tiny model of every family that widthwise cuts, built from its config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from encoder_configs import ENCODERS
from text_configs import DENSE, EXPERTS, MIXTURES, SHAPE, VOCAB, WIDTH
from wrapper_configs import TOKENS, TOWER, WRAPPERS

from widthwise.arch import in_block

# The tables, too, for tests to find all of a family here.
__all__ = [
    "DENSE",
    "EACH_KIND",
    "ENCODERS",
    "FAMILIES",
    "HYBRIDS",
    "MIXTURES",
    "SOME",
    "VOCAB",
    "WIDTH",
    "WRAPPERS",
    "config_of",
    "load",
    "tiny_model",
]
FAMILIES = (*DENSE, *MIXTURES, *WRAPPERS, *ENCODERS)
SOME = (
    *("lfm2", "granitemoehybrid-dense", "apertus", "mixtral", "gpt_oss", "deepseek_v3"),
    "qwen3_5_moe",
)
HYBRIDS = "qwen3_5_text", "olmo_hybrid", "lfm2", "falcon_h1", "bamba", "granitemoehybrid-dense"
KINDS = {"llama", "phi3", "gemma3", "gemma4", "t5", "modernbert", *SOME, *HYBRIDS}
# For tests that take a tenth of a second a family: one of each kind, all others are long.
EACH_KIND = [pytest.param(f, marks=() if f in KINDS else pytest.mark.long) for f in FAMILIES]


def _known(kind: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings that a config class has."""
    names = {*getattr(kind, "__dataclass_fields__", ()), *kind.attribute_map}
    return {key: value for key, value in settings.items() if key in names}


def _wrapper_config(model_type: str, changes: dict[str, Any]) -> Any:
    """The config of a tiny model of text and images; changes are of its language model."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[model_type]
    text, tower, rest = WRAPPERS[model_type]
    parts = {}
    for key, settings in (
        ("text_config", {**SHAPE, **text, **changes}),
        ("vision_config", tower if "model_type" in tower else {**TOWER, **tower}),
    ):
        has_class = "model_type" in settings
        parts[key] = settings if has_class else _known(kind.sub_configs[key], settings)
    return kind(**parts, **_known(kind, TOKENS), **rest)


def config_of(family: str, **changes: Any) -> Any:
    """A tiny config of a family; changes of a wrapper are of its language model."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if family in WRAPPERS:
        return _wrapper_config(family, changes)
    if family in ENCODERS:
        settings = {**ENCODERS[family][1], **changes}
    else:
        settings = {**SHAPE, **(DENSE.get(family) or MIXTURES.get(family, {})), **changes}
    kind = CONFIG_MAPPING[settings.pop("model_type", family)]
    experts = _known(kind, EXPERTS) if family in MIXTURES else {}
    return kind(**{**experts, **settings})


def _loader(family: str) -> Any:
    """The class of transformers that loads a family."""
    if family in ENCODERS:
        return getattr(hf, ENCODERS[family][0])
    return hf.AutoModelForImageTextToText if family in WRAPPERS else hf.AutoModelForCausalLM


def tiny_model(model_type: str, *, seed: int = 0, **changes: Any) -> Any:
    """A random language model of a family in float32, in eval mode; no bias is zero."""
    torch.manual_seed(seed)
    model = _loader(model_type).from_config(config_of(model_type, **changes))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # they start at zero, where a wrong cut would not show
                parameter.normal_(std=0.1)
            elif model_type in WRAPPERS and in_block(name):
                parameter.normal_(std=0.3)
    return model.eval()


def load(model_type: str, folder: Path) -> Any:
    """A model of a family from a folder."""
    return _loader(model_type).from_pretrained(folder).eval()
