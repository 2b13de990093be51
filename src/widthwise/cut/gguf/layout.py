"""A GGUF file made out of another one: some tensors in another type or shape, the rest as it is.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...assets import architecture_of
from ...errors import CheckpointError
from .quantize import row_bytes

_UINT32, _INT32, _BOOL, _STRING, _ARRAY = 4, 5, 7, 8, 9


@dataclass(frozen=True)
class Entry:
    """A tensor of the result.

    Attributes:
        tensor: The one of gguf's reader that it comes from.
        kind: Type in the result.
        shape: In the result, as GGUF states it: the length of a row first.
        name: In the result.
    """

    tensor: Any
    kind: Any
    shape: tuple[int, ...]
    name: str

    @classmethod
    def of(cls, tensor: Any) -> Entry:
        """A tensor as it is."""
        shape = tuple(int(size) for size in tensor.shape)
        return cls(tensor, tensor.tensor_type, shape, str(tensor.name))

    @property
    def nbytes(self) -> int:
        """Bytes in the result, without what fills it up to the alignment."""
        return row_bytes(self.kind, self.shape[0]) * math.prod(self.shape[1:])


def keys_of(reader: Any) -> dict[str, Any]:
    """Metadata of a file, without what its layout states."""
    return {name: each for name, each in reader.fields.items() if name[:5] != "GGUF."}


def renamed(reader: Any, architecture: str) -> dict[str, bytes]:
    """Entries of the metadata that name the architecture, with another one, by their old keys."""
    old, key = architecture_of(reader), "general.architecture"
    entries = {key: stated(key, architecture)}
    for name, each in keys_of(reader).items():
        if name.startswith(f"{old}."):
            value = b"".join(part.tobytes() for part in each.parts[2:])  # behind the key
            entries[name] = _text(architecture + name.removeprefix(old)) + value
    return entries


def whole_number(name: str, value: int | Sequence[int]) -> bytes:
    """An entry of the metadata: one number, or one for each layer."""
    if isinstance(value, int):
        return _text(name) + struct.pack("<II", _UINT32, value)
    head = struct.pack("<IIQ", _ARRAY, _INT32, len(value))
    return _text(name) + head + struct.pack(f"<{len(value)}i", *value)


def stated(name: str, value: str | bool) -> bytes:
    """An entry of the metadata: a text, or whether something is so."""
    if isinstance(value, bool):
        return _text(name) + struct.pack("<I?", _BOOL, value)
    return _text(name) + struct.pack("<I", _STRING) + _text(value)


def head(reader: Any, entries: Sequence[Entry], changed: Mapping[str, bytes]) -> bytes:
    """Metadata and places of the tensors.

    Args:
        reader: gguf's, of the file that the result is made out of.
        entries: Tensors of the result.
        changed: Entries of the metadata that are others in the result, by their key in the file.
    """
    fields = keys_of(reader)
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(entries), len({**fields, **changed}))]
    for name, each in fields.items():
        raw = b"".join(part.tobytes() for part in each.parts)
        parts.append(changed.get(name, raw))
    parts += [raw for name, raw in changed.items() if name not in fields]
    offset = 0
    for entry in entries:
        parts.append(_text(entry.name))
        parts.append(struct.pack("<I", len(entry.shape)))
        parts.append(struct.pack(f"<{len(entry.shape)}Q", *entry.shape))
        parts.append(struct.pack("<IQ", int(entry.kind), offset))
        offset += _padded(reader, entry.nbytes)
    whole = b"".join(parts)
    return whole + bytes(_padded(reader, len(whole)) - len(whole))


def file_bytes(reader: Any, entries: Sequence[Entry], changed: Mapping[str, bytes]) -> int:
    """Bytes of the file that `head` begins."""
    data = sum(_padded(reader, entry.nbytes) for entry in entries)
    return len(head(reader, entries, changed)) + data


def filled(reader: Any, entry: Entry, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a tensor, and what fills them up to the alignment of the file.

    Raises:
        CheckpointError: They are more or fewer than its type and shape need.
    """
    count = 0
    for block in blocks:
        count += len(block)
        yield block
    if count != entry.nbytes:
        raise CheckpointError(f"{entry.tensor.name} is not stored as its type says")
    yield bytes(_padded(reader, count) - count)


def _padded(reader: Any, nbytes: int) -> int:
    alignment = int(reader.alignment)
    return -(-nbytes // alignment) * alignment


def _text(text: str) -> bytes:
    encoded = text.encode("utf8")
    return struct.pack("<Q", len(encoded)) + encoded
