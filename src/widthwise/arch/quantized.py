"""Weights that are stored quantized, and configs that say so of weights that are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UnsupportedModelError
from .sections import text_config

if TYPE_CHECKING:
    from ..io import TensorSpec

QUANTIZED_SUFFIXES = tuple(
    "qweight qzeros scales g_idx SCB absmax quant_map weight_scale weight_scale_inv weight_packed "
    "input_scale".split()
)
_KEYS = ("quantization_config", "compression_config")


def refuse_quantized_config(
    config: Mapping[str, Any], stored: Mapping[str, TensorSpec] | None
) -> None:
    """Raise where a config says that the weights are quantized.

    Args:
        config: The parsed config.json.
        stored: Every stored tensor; None for a model in memory, whose tensors do not tell.

    Raises:
        UnsupportedModelError: They are.
        CheckpointError: They are not: the entry was left behind.
    """
    for part in (config, text_config(config)):
        for key in _KEYS:
            if (quantization := part.get(key)) is None:
                continue
            method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
            if stored and (kinds := _plain_kinds(stored)):
                raise CheckpointError(
                    f"config.json: {key} ({method or 'of no method'}) says that the weights are "
                    f"quantized, but they are stored as {kinds}; if these are whole weights, take "
                    f"{key} out of config.json"
                )
            if quantization:
                raise UnsupportedModelError(
                    f"config.json: the weights are quantized ({method or 'unknown method'}); "
                    "prune the unquantized checkpoint and quantize the result"
                )


def _plain_kinds(stored: Mapping[str, TensorSpec]) -> str:
    """The dtypes of whole weights, or "" where some tensor is one of a quantization."""
    is_plain = all(
        spec.is_float and not name.endswith(QUANTIZED_SUFFIXES) for name, spec in stored.items()
    )
    return ", ".join(sorted({spec.dtype for spec in stored.values()})) if is_plain else ""
