"""What a config says of quantized weights, and the refusal of those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UnsupportedModelError
from .sections import copied_sections, text_config

if TYPE_CHECKING:
    from ..io import TensorSpec

QUANTIZED_SUFFIXES = tuple(
    "qweight qzeros scales g_idx SCB absmax quant_map weight_scale weight_scale_inv weight_packed "
    "input_scale".split()
)
_KEYS = ("quantization_config", "compression_config")
# What is stored, by the usual methods, for those who did not quantize the model themselves.
_METHODS = {
    "gptq": "integers of few bits in groups",
    "awq": "integers of 4 bits in groups",
    "bitsandbytes": "NF4, FP4, or integers of 8 bits",
    "nvfp4": "numbers of 4 bits in groups of 16",
    "modelopt": "NVFP4 or FP8 of ModelOpt",
}
_ADVICE = "prune the unquantized checkpoint and quantize the result"


def quantization_of(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a config, or its text part, says of quantized weights; None where it says nothing."""
    found = (entry for _, entry in _entries(config) if isinstance(entry, Mapping) and entry)
    return next(found, None)


def without_quantization(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config that says nothing of quantized weights, nor does its text part."""
    parts = copied_sections(config)
    for part in parts:
        for key in _KEYS:
            part.pop(key, None)
    return parts[0]


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
    for key, quantization in _entries(config):
        if stored and (kinds := _plain_kinds(stored)):
            method = _method(quantization) or "of no method"
            raise CheckpointError(
                f"config.json: {key} ({method}) says that the weights are quantized, but they are "
                f"stored as {kinds}; if they are not quantized, remove {key} from config.json"
            )
        if quantization and stored is None:
            raise UnsupportedModelError(
                f"the model's weights are quantized ({_words(quantization)}); pass the folder "
                "of its checkpoint, or load it dequantized"
            )
        if quantization:
            raise UnsupportedModelError(
                f"config.json: the weights are quantized ({_words(quantization)}) in a way "
                f"that widthwise cannot read; {_ADVICE}"
            )


def refuse_quantized_tensor(layer: int, name: str) -> None:
    """Raise UnsupportedModelError where the name of a tensor in a layer is of a quantization."""
    if name.endswith(QUANTIZED_SUFFIXES):
        raise UnsupportedModelError(
            f"layer {layer} holds quantized weights ({name}) of which config.json does not state "
            f"the method; {_ADVICE}"
        )


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a config, and then its text part, says of quantized weights, and under which key."""
    for part in (config, text_config(config)):
        yield from ((key, part[key]) for key in _KEYS if part.get(key) is not None)


def _method(quantization: Any) -> str | None:
    method = quantization.get("quant_method") if isinstance(quantization, Mapping) else None
    return None if method is None else str(method)


def _words(quantization: Any) -> str:
    """The method of a quantization, and what it stores where that is known."""
    method = _method(quantization)
    if method is None:
        return "unknown method"
    stored = _METHODS.get(method) or quantization.get("format")
    return f"{method}: {stored}" if stored else method


def _plain_kinds(stored: Mapping[str, TensorSpec]) -> str:
    """The dtypes of whole weights, or "" where some tensor is one of a quantization."""
    is_plain = all(
        spec.is_float and not name.endswith(QUANTIZED_SUFFIXES) for name, spec in stored.items()
    )
    return ", ".join(sorted({spec.dtype for spec in stored.values()})) if is_plain else ""
