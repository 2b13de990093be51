"""The file that will be deployed: how many bytes it has at each width, before there is one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..arch import Architecture, counts_at
from ..cut.checkpoint import ModelSource, stored_dtype
from ..cut.gguf import block_width, most_export_bytes, most_tensor_bytes

_HEAD_BYTES = 120  # of a tensor in the header of safetensors, beside its name, at most


@dataclass(frozen=True, kw_only=True)
class DeployedFile:
    """The file of a model that is deployed, or the files of its weights.

    Attributes:
        source: The model.
        gguf: Type of the GGUF file; None where the files of weights are deployed.
        dtype: Dtype in which the result is stored; None for that of the model.
    """

    source: ModelSource
    gguf: str | None
    dtype: str | None

    def __str__(self) -> str:
        return f"the {self.gguf} file" if self.gguf else "the checkpoint"

    @property
    def architecture(self) -> Architecture:
        return self.source.checkpoint.architecture

    @property
    def alignment(self) -> int | None:
        """Multiple that widths are rounded down to, so that the type's blocks fill their rows; None
        for the usual one."""
        if self.gguf is None:
            return None
        return block_width(self.gguf, self.architecture.intermediate_size)

    @cached_property
    def dense_bytes(self) -> int:
        """Bytes of the same file of the model without a cut, as it is stored."""
        if self.gguf is not None or self.source.gguf is not None:
            return self.bytes_at(None)
        files = {stored.file for stored in self.source.checkpoint.stored.values()}
        return sum(file.stat().st_size for file in files)

    def bytes_at(self, width: int | tuple[int, ...] | None) -> int:
        """Most bytes that the file has at a width; None for the model as it is."""
        if self.gguf is not None:
            return most_export_bytes(self.source.checkpoint, self.gguf, width)
        counts = counts_at(self.architecture, width, dtype=stored_dtype(self.dtype))
        names = self.architecture.tensors
        return counts.weight_bytes + sum(len(name) + _HEAD_BYTES for name in names)

    def head_bytes(self, name: str) -> int:
        """Most bytes that the head of the model has in the file."""
        spec = self.architecture.tensors[name]
        if self.gguf is None:
            return spec.nbytes
        return most_tensor_bytes(name, spec.shape, self.gguf, "output")
