"""The parameters of a model, read out of its GGUF file a few rows at a time."""

from __future__ import annotations

import math
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, UnsupportedModelError
from ..io import TORCH_DTYPES, TensorSpec
from .gguf_file import architecture_of, torch_shape
from .gguf_head import decode, read_parameters
from .gguf_names import Translation, row_order, translation_of

if TYPE_CHECKING:
    from torch import Tensor

_STEP = 2**17  # numbers decoded at a time: what decoding makes of them fits into a cache


class GgufWeights:
    """The parameters of a GGUF file by their names in transformers, decoded as they are read.

    Memory: the rows that are asked for, and of a parameter that is not read by rows all of it.

    Args:
        path: The file.
        reader: gguf's reader of it.
        head: Folder that `write_head` filled.
        dtype: Name of the torch dtype of what is read.
    """

    def __init__(self, path: Path, reader: Any, head: Path, dtype: str) -> None:
        self.path = path
        self.parameters = read_parameters(head)
        self.dtype = dtype
        self._head = head
        self._architecture = architecture_of(reader)
        self._tensors = {str(tensor.name): _Stored(tensor) for tensor in reader.tensors}
        self._descriptor: int | None = None
        self._orders: tuple[str, NDArray[np.int64]] | None = None
        self._whole: tuple[str, Tensor] | None = None

    @property
    def specs(self) -> dict[str, TensorSpec]:
        """Shape and type of every parameter, sorted by name."""
        stored = next(name for name, dtype in TORCH_DTYPES.items() if dtype == self.dtype)
        return {name: TensorSpec(each.shape, stored) for name, each in self.parameters.items()}

    @cached_property
    def _translation(self) -> Translation:
        from transformers import AutoConfig

        return translation_of(self._architecture, AutoConfig.from_pretrained(self._head))

    def close(self) -> None:
        """Close the file and forget what was kept of it; it is opened again when rows are read."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._orders = self._whole = None

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows [start, stop) of a parameter along its first axis; of a vector, its elements.

        Raises:
            CheckpointError: The file ends before they do.
        """
        import torch

        parameter = self.parameters[name]
        if parameter.layout == "whole" or len(parameter.shape) < 2:
            return self._all(name)[start:stop]
        result = torch.empty((stop - start, *parameter.shape[1:]), dtype=getattr(torch, self.dtype))
        if parameter.layout == "joined":
            first = 0
            for stored in (self._tensors[each] for each in parameter.tensors):
                last = first + stored.shape[1]
                self._decode(stored, range(start, stop), result[:, first:last])
                first = last
            return result
        stored = self._tensors[parameter.tensors[0]]
        if parameter.layout == "plain":
            self._decode(stored, range(start, stop), result)
        else:
            order = self._order(name, parameter.tensors[0], parameter.shape[0])
            self._decode(stored, order[start:stop].tolist(), result)
        return result

    def _decode(self, stored: _Stored, rows: Any, out: Tensor) -> None:
        """Write rows of a tensor, its numbers in the type of `out`, to `out`."""
        import torch

        numbers = math.prod(stored.shape[1:])
        step = max(1, _STEP // max(1, numbers))
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            decoded = stored.decoded(self._raw(stored, some)).reshape(len(some), *stored.shape[1:])
            out[first : first + len(some)] = torch.from_numpy(decoded)

    def _raw(self, stored: _Stored, rows: Any) -> NDArray[np.uint8]:
        """The bytes of some rows, shape (rows, bytes)."""
        size = stored.nbytes // stored.shape[0]
        raw = np.empty((len(rows), size), dtype=np.uint8)
        if isinstance(rows, range):
            self._fill(raw.reshape(-1), stored.offset + rows.start * size)
        else:
            for place, row in enumerate(rows):
                self._fill(raw[place], stored.offset + row * size)
        return raw

    def _fill(self, buffer: NDArray[np.uint8], offset: int) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        view = buffer.data
        while view:
            count = os.preadv(self._descriptor, [view], offset)
            if not count:
                raise CheckpointError(f"{self.path}: it has become shorter while it was read")
            view, offset = view[count:], offset + count

    def _order(self, name: str, tensor: str, rows: int) -> NDArray[np.int64]:
        if self._orders is None or self._orders[0] != name:
            self._orders = name, row_order(self._translation, name, tensor, rows)
        return self._orders[1]

    def _all(self, name: str) -> Tensor:
        """A whole parameter, which is kept until another one is read whole."""
        import torch

        if self._whole is None or self._whole[0] != name:
            self._whole = None
            parameter = self.parameters[name]
            numbers = {each: self._numbers(self._tensors[each]) for each in parameter.tensors}
            if parameter.layout == "whole":
                made = np.asarray(self._translation.whole(name, numbers), dtype=np.float32)
            else:
                (made,) = numbers.values()
            if _without_ones(made.shape) == _without_ones(parameter.shape):
                made = made.reshape(parameter.shape)  # a vector of one row or of one column
            if made.shape != parameter.shape:
                raise UnsupportedModelError(
                    f"{self.path} cannot be converted: it has {name} in the shape "
                    f"{list(made.shape)}, and its model in {list(parameter.shape)}"
                )
            self._whole = name, torch.from_numpy(made).to(getattr(torch, self.dtype))
        return self._whole[1]

    def _numbers(self, stored: _Stored) -> NDArray[np.float32]:
        """All numbers of a tensor in float32."""
        raw = np.empty(stored.nbytes, dtype=np.uint8)
        self._fill(raw, stored.offset)
        step = max(stored.row_bytes, _STEP // stored.row_bytes * stored.row_bytes)
        parts = [stored.decoded(raw[n : n + step]) for n in range(0, stored.nbytes, step)]
        return np.concatenate(parts).reshape(stored.shape)


class _Stored:
    """Where a tensor lies, and how it is decoded."""

    def __init__(self, tensor: Any) -> None:
        self.shape = torch_shape(tensor)
        self.offset, self.nbytes = int(tensor.data_offset), int(tensor.n_bytes)
        self.row_bytes = self.nbytes // max(1, math.prod(self.shape[:-1]))
        self._kind = tensor.tensor_type

    def decoded(self, raw: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The numbers of whole rows, in one dimension."""
        return decode(raw.reshape(-1), self._kind)


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]
