"""Names and shapes of the parameters that transformers builds from a config, without memory."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .sections import class_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..io import TensorSpec

Shape = tuple[int, ...]

_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|masked_bias|\.attention\.bias)$")


def built_shapes(config: Mapping[str, Any]) -> Mapping[str, Shape] | None:
    """Name to shape of each parameter of the model that a config describes, tied ones once.

    The model is built on torch's meta device, where a tensor has a shape and no data: under a
    second, whatever its size. None where transformers does not know the family, or this machine
    lacks what building it takes (a package of the vision tower, say).

    Raises:
        CheckpointError: The config class refuses the config.
    """
    return _built(json.dumps(config, sort_keys=True, default=str))


def is_buffer(name: str) -> bool:
    """Whether a stored tensor is one of those that older files also hold, next to parameters."""
    return _BUFFERS.search(name) is not None


def count_parameters(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec], tied: frozenset[str]
) -> int:
    """Numbers in the parameters of the model that transformers builds from stored tensors.

    Where more is stored than is built, the rest is no part of the model: buffers, draft layers, a
    head of another task. Where less is, as in layers of several widths, what is stored counts.

    Args:
        config: The parsed config.json.
        tensors: Every stored tensor that the model takes.
        tied: Names that share the storage of another parameter.

    Raises:
        CheckpointError: The config class refuses the config.
    """
    floats = {
        name: spec.numel
        for name, spec in tensors.items()
        if spec.is_float and name not in tied and not is_buffer(name)
    }
    stored, shapes = sum(floats.values()), built_shapes(config)
    return stored if shapes is None else min(stored, sum(map(math.prod, shapes.values())))


def is_causal(config: Mapping[str, Any]) -> bool:
    """Whether transformers has a class for a config that continues texts; True where it has none.

    Raises:
        CheckpointError: The config class refuses the config.
    """
    from transformers.models.auto import modeling_auto as auto

    family, built = str(config.get("model_type")), class_config(config)
    if built is None or getattr(built, "is_encoder_decoder", False):
        return built is None
    return any(
        family in mapping
        for mapping in (
            auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
            auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        )
    )


@lru_cache(maxsize=8)
def _built(text: str) -> Mapping[str, Shape] | None:
    import torch

    config = class_config(json.loads(text))
    model_class = None if config is None else _model_class(config)
    if model_class is None:
        return None
    try:
        with torch.device("meta"), _quiet():
            model = model_class._from_config(config)
    except Exception:  # model code of any family; what is not known is answered by None
        return None
    return {name: tuple(each.shape) for name, each in model.named_parameters()}


def _model_class(config: Any) -> Any:
    """The class that `architectures` names, else one of the family that has a head, else None."""
    import transformers
    from transformers.models.auto import modeling_auto

    named = [str(name) for name in getattr(config, "architectures", None) or ()]
    for mapping in (
        modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    ):
        name = mapping.get(config.model_type)
        named += [name] if isinstance(name, str) else list(name or ())
    for name in named:
        model_class = getattr(transformers, name, None)
        if isinstance(model_class, type) and hasattr(model_class, "_from_config"):
            return model_class
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of transformers on a model that is only looked at."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
