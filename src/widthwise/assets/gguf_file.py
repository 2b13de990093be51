"""A GGUF file opened: its keys and the places of its tensors, checked; no weight is read.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, UnsupportedModelError
from ..io import lfs_pointer
from .gguf_rope import FREQUENCIES, LONG, SHORT

_NO_MODELS = ("adapter", "imatrix", "mmproj")  # values of general.type
_LAYER = re.compile(r"(?:^|\.)blk\.(\d+)\.")
_STRING, _ARRAY = 8, 9  # types of values
_LONG_LIST = 4096  # longer than any list of layers: of words, then
# Where transformers' tables call an architecture by another name than a file does.
TABLE_NAMES = {
    "gpt-oss": "gpt_oss",
    "minimax-m2": "minimax_m2",
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
}


def gguf_reader(path: Path) -> Any:
    """gguf's reader, unchecked, with the file as a plain array and the lists of words in one part.

    It would make two arrays of each of the hundred thousands of words of a tokenizer. Here the
    bytes of such a list are one part of its field, whose `data` is empty.
    """
    import gguf

    class Reader(gguf.GGUFReader):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value.view(np.ndarray) if name == "data" else value)

        def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
            if raw_type != _ARRAY:
                return super()._get_field_parts(orig_offs, raw_type)
            kind, count = self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)
            begin, inner = orig_offs + 12, gguf.GGUFValueType(kind[0])
            types = [gguf.GGUFValueType.ARRAY, inner]
            if kind[0] == _STRING:
                end = _end_of_strings(self.data, begin, int(count[0]), self.byte_order == "S")
                whole = self._get(begin, np.uint8, end - begin)
                return end - orig_offs, [kind, count, whole], [], types
            if count[0] > _LONG_LIST and inner in self.gguf_scalar_to_np:
                whole = self._get(begin, self.gguf_scalar_to_np[inner], count[0])
                return 12 + whole.nbytes, [kind, count, whole], [2], types
            return super()._get_field_parts(orig_offs, raw_type)

    return Reader(path)


def _end_of_strings(data: Any, begin: int, count: int, is_swapped: bool) -> int:
    """The place after so many strings, each of which follows its length."""
    view, length, place = memoryview(data), struct.Struct(">Q" if is_swapped else "<Q"), begin
    try:
        for _ in range(count):
            place += 8 + length.unpack_from(view, place)[0]
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a list of {count} strings is cut off") from error
    if place > len(view):
        raise ValueError(f"a list of {count} strings is cut off")
    return place


def checked_reader(path: Path) -> Any:
    """A reader of the file; raises unless it is whole, single and holds a model.

    Raises:
        CheckpointError: Not a GGUF file, or a truncated one.
        UnsupportedModelError: A split file, one without a model, or numbers in the byte order of
            another machine.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if pointer := lfs_pointer(path):
            raise CheckpointError(f"{path}: {pointer}")
        if magic != b"GGUF":
            raise CheckpointError(f"{path} is not a GGUF file: it begins with {magic!r}")
        reader = gguf_reader(path)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise CheckpointError(f"{path} is truncated or damaged; fetch or write it again") from error
    if reader.byte_order == "S":
        raise UnsupportedModelError(f"{path} has its numbers in the byte order of another machine")
    kind = reader.get_field("general.type")
    if kind is not None and kind.contents() in _NO_MODELS:
        raise UnsupportedModelError(f"{path} holds no model: it is of type {kind.contents()!r}")
    split = reader.get_field("split.count")
    if split is not None and split.contents() not in (0, 1):
        raise UnsupportedModelError(f"{path} is one of {split.contents()} parts; merge them first")
    return reader


def architecture_of(reader: Any) -> str:
    """The architecture that the file names; `"none"` where it names none."""
    field = reader.get_field("general.architecture")
    return "none" if field is None else str(field.contents())


def refuse_unknown(path: Path, reader: Any) -> None:
    """Raise UnsupportedModelError where transformers cannot read the architecture of a file."""
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    architecture = architecture_of(reader)
    if architecture == "deci":
        raise UnsupportedModelError(
            f"{path} has layers of several widths (its architecture is 'deci'), which widthwise "
            "does not read from a GGUF file; take the model that it was made of"
        )
    table = TABLE_NAMES.get(architecture, architecture)
    if table not in (*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_CONFIG_ARCHS):
        raise UnsupportedModelError(
            f"{path} holds the architecture {architecture!r}, which transformers cannot read"
        )


def check_counts(path: Path, reader: Any) -> None:
    """Raise CheckpointError where the counts that a file states cannot be those of its tensors."""
    names = [str(tensor.name) for tensor in reader.tensors]
    found = {int(match[1]) for name in names if (match := _LAYER.search(name))}

    def stated(key: str) -> tuple[str, Any]:
        whole = f"{architecture_of(reader)}.{key}"
        field = reader.get_field(whole)
        return whole, None if field is None else field.contents()

    key, layers = stated("block_count")
    _, drafts = stated("nextn_predict_layers")  # counted as layers, and sometimes left out
    if isinstance(layers, int) and layers > max(found, default=-1) + 1 + (drafts or 0):
        raise CheckpointError(
            f"{path} is damaged or cut short: its key {key} is {layers}, and it holds tensors of "
            f"{len(found)} layers; fetch or write it again"
        )
    key, heads = stated("attention.head_count")
    if heads == 0 and any(".attn_q" in name for name in names):
        raise CheckpointError(
            f"{path} is damaged: its key {key} is 0, and it holds attention; fetch or write it "
            "again"
        )


def torch_shape(tensor: Any) -> tuple[int, ...]:
    """The shape of a tensor of the file, the length of a row last."""
    return tuple(reversed(tensor.shape.tolist()))


def licence_of(reader: Any) -> str | None:
    """The licence that the file states."""
    licence = reader.get_field("general.license")
    return None if licence is None else " ".join(str(licence.contents()).split())


def head_digest(reader: Any, made_by: Iterable[str]) -> str:
    """sha256 over all that the file says of its network: keys, places of tensors, rotations.

    Args:
        reader: Reader of the file.
        made_by: Names and versions of what reads it.
    """
    digest = hashlib.sha256(repr(tuple(made_by)).encode())
    digest.update(reader.data[: reader.data_offset].data)
    for tensor in reader.tensors:
        if tensor.name in (FREQUENCIES, LONG, SHORT):
            digest.update(np.ascontiguousarray(tensor.data).data)
    return digest.hexdigest()


def tokenizer_digest(reader: Any, made_by: Iterable[str]) -> str:
    """sha256 over all that the file says of its tokenizer; arguments as for `head_digest`."""
    digest = hashlib.sha256(repr(tuple(made_by)).encode())
    for name, field in reader.fields.items():
        if name.startswith("tokenizer."):
            for part in field.parts:
                digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
