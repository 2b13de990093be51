"""Safetensors files written tensor by tensor, without a copy of all tensors in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic_file import FAILURE, replace_file

if TYPE_CHECKING:
    from torch import Tensor

DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
DTYPE_BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
DTYPE_BYTES |= {"F8_E8M0": 1}
FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")
TORCH_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
TORCH_DTYPES |= {"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8"}
TORCH_DTYPES |= {"U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool"}
TORCH_DTYPES |= {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
TORCH_DTYPES |= {"F8_E8M0": "float8_e8m0fnu"}
_NAMES = {name: stored for stored, name in TORCH_DTYPES.items()}


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a stored tensor; `dtype` is the safetensors name (`"BF16"`)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * DTYPE_BYTES[self.dtype]

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOAT_DTYPES

    def portions(self, nbytes: int) -> Iterator[tuple[int, int]]:
        """Begin and end of its rows along the first axis, so many bytes at a time, at least one."""
        rows = self.shape[0] if self.shape else 1
        step = max(1, nbytes * rows // max(1, self.nbytes))
        for start in range(0, rows, step):
            yield start, min(start + step, rows)


def aligned(specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """The same tensors, wider dtypes first, so that each lies at a multiple of its dtype's size."""
    return dict(sorted(specs.items(), key=lambda item: -DTYPE_BYTES[item[1].dtype]))


@contextmanager
def stream_safetensors(
    path: Path, specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]
) -> Iterator[Callable[[memoryview], None]]:
    """Yield a function that adds a block of bytes to a new file; the blocks follow one another.

    Args:
        path: The place of `replace_file`, or a file in the folder of `new_folder`, which force it
            to disk.
        specs: The tensors, in the order in which they are written.
        metadata: Texts for the file's header.

    Raises:
        OSError: It cannot be written.
        ValueError: The blocks are not as many bytes as the tensors have.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, spec in specs.items():
        begin, end = end, end + spec.nbytes
        extent = {"shape": list(spec.shape), "data_offsets": [begin, end]}
        header[name] = {"dtype": spec.dtype, **extent}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data starts at a multiple of 8
    head = len(text).to_bytes(8, "little") + text
    with open(path, "wb", buffering=0) as file:

        def write(block: memoryview) -> None:
            while block:
                block = block[file.write(block) :]

        write(memoryview(head))
        yield write
        if file.tell() != len(head) + end:
            raise ValueError(f"{path} has {file.tell() - len(head)} bytes of tensors, not {end}")


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    shared: bool = False,
    failure: str = FAILURE,
) -> None:
    """Write tensors to a safetensors file, whole or not at all.

    Args:
        path: The file.
        tensors: By name.
        metadata: Texts for the file's header.
        shared: As in `replace_file`.
        failure: As in `replace_file`.

    Raises:
        OutputError: It cannot be written; the old file is still there.
    """
    dtypes = {name: str(tensors[name].dtype).removeprefix("torch.") for name in sorted(tensors)}
    specs = {n: TensorSpec(tuple(tensors[n].shape), _NAMES[dtype]) for n, dtype in dtypes.items()}
    specs = aligned(specs)
    with (
        replace_file(path, shared=shared, failure=failure) as partial,
        stream_safetensors(partial, specs, metadata) as write,
    ):
        for name in specs:
            write(tensor_bytes(tensors[name]))


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor, without a copy where it is contiguous and on the CPU."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def safetensors_head(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file; none where it cannot be read."""
    import safetensors

    try:
        with safetensors.safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return {}
