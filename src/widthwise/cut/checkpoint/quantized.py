"""Quantized checkpoints: which tensors stand for which weights.

All that comes after sees the weights alone, in the dtype in which transformers would load them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ...arch import quantization_of, text_config
from ...io import TORCH_DTYPES, TensorSpec
from ..weights import CHUNK_BYTES
from .fp8 import Fp8Weight, block_kinds, fp8_weights, is_of_activations
from .mxfp4 import Mxfp4Weight, mxfp4_weights
from .write_options import DTYPES

if TYPE_CHECKING:
    from torch import Tensor

    T = TypeVar("T")

QuantizedWeight: TypeAlias = "Fp8Weight | Mxfp4Weight"


@dataclass(frozen=True)
class Quantization:
    """How the weights of a checkpoint are quantized.

    Attributes:
        weights: The quantized ones by name; all other stored tensors are read as they are.
        unread: Names of stored tensors that are left out: scales, of activations as well.
        dtype: safetensors name of the dtype in which the quantized ones are read.
        stored_bytes: Of all tensors in the files.
    """

    weights: Mapping[str, QuantizedWeight]
    unread: frozenset[str]
    dtype: str
    stored_bytes: int

    @property
    def words(self) -> str:
        """What is stored, in words (`FP8 in blocks of 128 x 128`)."""
        return ", ".join(sorted({weight.words for weight in self.weights.values()}))

    @property
    def note(self) -> str:
        """What is stored, and how it is read, as a clause."""
        return (
            f"weights are stored as {self.words} ({self.stored_bytes:,} bytes), and read as "
            f"{TORCH_DTYPES[self.dtype]}"
        )

    def note_of_cut(self, nbytes: int, dtype: str | None) -> str:
        """What a cut of so many bytes is written as, and how large its parent is, as a sentence.

        Args:
            nbytes: Of the tensors of the result.
            dtype: safetensors name of the dtype that was asked for, if any was.
        """
        larger = ", so it is larger than its parent" if nbytes > self.stored_bytes else ""
        return (
            f"The result is dequantized: {nbytes:,} bytes of weights in "
            f"{TORCH_DTYPES[dtype or self.dtype]}, cut from {self.stored_bytes:,} bytes in "
            f"{self.words}{larger}."
        )

    def read_in_place(self, stored: Mapping[str, T]) -> dict[str, T | QuantizedWeight]:
        """Stored tensors with the weights in the places of their numbers, and without scales."""
        weights = {weight.name: (name, weight) for name, weight in self.weights.items()}
        return dict(
            weights.get(name, (name, each))
            for name, each in stored.items()
            if name not in self.unread
        )


def read_quantization(
    config: Mapping[str, Any], specs: Mapping[str, TensorSpec]
) -> Quantization | None:
    """How weights are quantized by a method that can be read; None where there is no such method.

    Args:
        config: The parsed config.json.
        specs: Name to shape and dtype of every stored tensor.

    Raises:
        CheckpointError: A scale is missing, or a tensor has another shape or dtype than the method
            of the config gives it.
    """
    method = quantization_of(config)
    if method is None:
        return None
    dtype = _read_dtype(config)
    weights: dict[str, QuantizedWeight]
    if method.get("quant_method") == "mxfp4":
        weights = dict(mxfp4_weights(specs, dtype))
    elif kinds := block_kinds(method):
        weights = dict(fp8_weights(specs, kinds, dtype))
    else:
        return None
    if not weights:
        return None
    unread = {weight.scale for weight in weights.values()}
    unread |= {name for name in specs if is_of_activations(name)}
    stored_bytes = sum(spec.nbytes for spec in specs.values())
    return Quantization(weights, frozenset(unread), dtype, stored_bytes)


def dequantized_rows(
    weight: QuantizedWeight, stored: Callable[[str, int, int], Tensor], start: int, stop: int
) -> Tensor:
    """Rows [start, stop) of a weight along its first axis; `stored` reads rows of a stored tensor.

    A few megabytes are dequantized at a time: on the way, numbers take many times their size.
    """
    import torch

    shape, dtype = weight.spec.shape, getattr(torch, TORCH_DTYPES[weight.spec.dtype])
    step = max(1, CHUNK_BYTES * shape[0] // max(1, weight.spec.nbytes))
    if stop - start <= step:
        return weight.rows(stored, start, stop)
    result = torch.empty((stop - start, *shape[1:]), dtype=dtype)
    for first in range(start, stop, step):
        last = min(first + step, stop)
        result[first - start : last - start] = weight.rows(stored, first, last)
    return result


def _read_dtype(config: Mapping[str, Any]) -> str:
    """The dtype of the config, in which transformers loads; bfloat16 where it names none."""
    parts = (config, text_config(config))
    stated = [str(part.get(key)) for part in parts for key in ("dtype", "torch_dtype")]
    return next((DTYPES[name] for name in stated if name in DTYPES), DTYPES["bfloat16"])
