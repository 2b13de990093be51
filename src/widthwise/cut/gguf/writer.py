"""A GGUF file with fewer neurons; all that has nothing to do with them is copied byte for byte.

Quantized blocks run along a row. So rows of gate and up are taken out as they are, bit for bit;
down, whose rows are as long as the width, is decoded, cut (or replaced by its refit) and written in
the type that it had, or in the nearest that can be written.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...assets import gguf_reader
from ...errors import CheckpointError, OutputError, UnsupportedModelError
from ...io import replace_file
from ..plan import Plan
from ..weights import check_refit
from .quantize import block_size, quantized, row_bytes, written_kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..refit_result import Refit

_FFN = re.compile(r"blk\.(\d+)\.ffn_(gate|up|down)\.(weight|bias)")
_UINT32, _INT32, _ARRAY = 4, 5, 9


@dataclass(frozen=True, kw_only=True)
class GgufResult:
    """A GGUF file that was written.

    Attributes:
        path: The file.
        bytes_before, bytes_after: Of the parent and of the result.
        down: Names of the types of the downs, before and after.
        error: What writing down in blocks adds: root mean square over that of its numbers.
    """

    path: Path
    bytes_before: int
    bytes_after: int
    down: tuple[str, str]
    error: float

    def __str__(self) -> str:
        before, after = self.down
        kinds = f"{after}" if before == after else f"{after} (the parent's are {before})"
        return (
            f"{self.path}: {self.bytes_after:,} of {self.bytes_before:,} bytes "
            f"({self.bytes_after / self.bytes_before:.1%}); gate, up and all else bit for bit, "
            f"down written as {kinds}, which changes its numbers by {self.error:.2%}"
        )


def write_pruned_gguf(
    source: Path,
    plan: Plan,
    out: Path,
    *,
    refit: Refit | Literal[False] | None = None,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> GgufResult:
    """Write a GGUF file cut to a plan; it appears whole or not at all.

    Args:
        source: The parent, for whose conversion the plan was made.
        plan: Which neurons stay; layers of several widths are stated as llama.cpp reads them.
        out: The file to write.
        refit: The plan's refit, whose downs are taken; False for none where one is wanted.
        force: Whether an existing file is replaced.
        progress: Function that is called with the bytes read since the last call.

    Raises:
        PlanError: The refit belongs to another plan.
        CheckpointError: The file does not hold the blocks of the plan.
        UnsupportedModelError: It holds them in another form, or is a mixture of experts.
        OutputError: `out` exists, is the parent, or cannot be written.

    Cost: each byte of the parent is read once; memory is that of one down in float32.
    """
    down = check_refit(plan, refit)
    if out.exists() and not force:
        raise OutputError(f"{out} already exists; choose another file, or pass --force")
    if out.exists() and out.samefile(source):
        raise OutputError(f"{out} is the parent itself; choose another file")
    reader = gguf_reader(source)
    job = _Job(reader, plan, down, progress or (lambda _: None))
    job.check()
    with replace_file(out) as partial, open(partial, "wb") as file:
        file.write(job.head())
        for block in job.data():
            file.write(block)
    return GgufResult(
        path=out.absolute(),
        bytes_before=source.stat().st_size,
        bytes_after=out.stat().st_size,
        down=job.down_kinds,
        error=job.error,
    )


def down_alignment(source: Path) -> int:
    """The multiple that a width must be of so that every down keeps the type it has.

    Raises:
        CheckpointError: It is no GGUF file.
    """
    try:
        tensors = gguf_reader(source).tensors
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise CheckpointError(f"{source} cannot be read as a GGUF file: {error}") from error
    downs = [tensor for tensor in tensors if ".ffn_down.weight" in str(tensor.name)]
    return max((block_size(tensor.tensor_type) for tensor in downs), default=1)


@dataclass
class _Entry:
    """One tensor of the result: where it is in the parent, and its type and size in the result."""

    tensor: Any
    layer: int | None
    part: str
    kind: Any
    shape: tuple[int, ...]  # as GGUF states it: the length of a row first
    nbytes: int


@dataclass
class _Job:
    """The parent and what becomes of it."""

    reader: Any
    plan: Plan
    down: Sequence[Tensor] | None
    progress: Callable[[int], None]
    entries: list[_Entry] = field(default_factory=list)
    _errors: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entries = [self._entry(tensor) for tensor in self.reader.tensors]

    def check(self) -> None:
        """Raise unless the file holds the blocks of every layer of the plan, and no experts."""
        found = {(e.layer, e.part) for e in self.entries if e.layer is not None}
        names = [str(tensor.name) for tensor in self.reader.tensors]
        if experts := [name for name in names if "_exps." in name]:
            raise UnsupportedModelError(
                f"{experts[0]}: a mixture of experts is not written as GGUF; write a folder"
            )
        for layer in range(len(self.plan.keep)):
            if not {(layer, "down"), (layer, "up")} <= found:
                raise CheckpointError(f"the file has no GLU block of layer {layer}")
        if max(layer for layer, _ in found if layer is not None) >= len(self.plan.keep):
            raise CheckpointError(
                f"the file has more layers than the {len(self.plan.keep)} planned"
            )

    @property
    def down_kinds(self) -> tuple[str, str]:
        """Names of the types of down, before and after."""
        downs = [entry for entry in self.entries if entry.part == "down"]
        before = {str(entry.tensor.tensor_type.name) for entry in downs}
        after = {str(entry.kind.name) for entry in downs}
        return " and ".join(sorted(before)), " and ".join(sorted(after))

    @property
    def error(self) -> float:
        """Root mean square of what writing the downs changed, over that of their numbers."""
        changed, whole = (sum(part) for part in zip(*self._errors, strict=True))
        return float((changed / whole) ** 0.5)

    def _entry(self, tensor: Any) -> _Entry:
        shape = tuple(int(size) for size in tensor.shape)
        match = _FFN.fullmatch(str(tensor.name))
        kind, nbytes = tensor.tensor_type, int(tensor.n_bytes)
        if match is None or (match[2] == "down" and match[3] == "bias"):
            return _Entry(tensor, None, "", kind, shape, nbytes)
        layer, part = int(match[1]), match[2]
        kept = len(self.plan.keep[layer]) if layer < len(self.plan.keep) else 0
        if part == "down":
            kind = written_kind(kind, kept)
            nbytes = shape[1] * row_bytes(kind, kept)
            return _Entry(tensor, layer, part, kind, (kept, shape[1]), nbytes)
        rows = shape[-1]
        count = kept * self._times(rows)
        return _Entry(tensor, layer, part, kind, (*shape[:-1], count), nbytes // rows * count)

    def _times(self, rows: int) -> int:
        """How many parts of a block one tensor holds: two where gate and up are one."""
        times, rest = divmod(rows, self.plan.intermediate_size)
        if rest or times not in (1, 2):
            raise CheckpointError(
                f"a GLU block of the file has {rows} rows; the plan is for "
                f"{self.plan.intermediate_size} neurons"
            )
        return times

    def head(self) -> bytes:
        """Metadata, with the new width, and the places of the tensors."""
        reader = self.reader
        fields = {name: each for name, each in reader.fields.items() if name[:5] != "GGUF."}
        parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(self.entries), len(fields))]
        arch = str(fields["general.architecture"].contents())
        for name, each in fields.items():
            raw = b"".join(part.tobytes() for part in each.parts)
            parts.append(self._width(name) if name == f"{arch}.feed_forward_length" else raw)
        offset = 0
        for entry in self.entries:
            parts.append(_text(str(entry.tensor.name)))
            parts.append(struct.pack("<I", len(entry.shape)))
            parts.append(struct.pack(f"<{len(entry.shape)}Q", *entry.shape))
            parts.append(struct.pack("<IQ", int(entry.kind), offset))
            offset += self._padded(entry.nbytes)
        whole = b"".join(parts)
        return whole + bytes(self._padded(len(whole)) - len(whole))

    def _width(self, name: str) -> bytes:
        """The entry that states the width; one number a layer where they differ."""
        if self.plan.uniform:
            return _text(name) + struct.pack("<II", _UINT32, self.plan.width)
        widths = self.plan.widths
        head = struct.pack("<IIQ", _ARRAY, _INT32, len(widths))
        return _text(name) + head + struct.pack(f"<{len(widths)}i", *widths)

    def data(self) -> Iterator[bytes]:
        """The tensors in order, each filled up to the alignment of the file."""
        for entry in self.entries:
            block = self._bytes(entry)
            self.progress(int(entry.tensor.n_bytes))
            if len(block) != entry.nbytes:
                raise CheckpointError(f"{entry.tensor.name} is not stored as its type says")
            yield block
            yield bytes(self._padded(len(block)) - len(block))

    def _bytes(self, entry: _Entry) -> bytes:
        import numpy as np

        stored: NDArray[Any] = entry.tensor.data
        if entry.layer is None:
            whole: bytes = stored.tobytes()
            return whole
        keep = np.asarray(self.plan.keep[entry.layer])
        if entry.part == "down":
            return self._down(entry, keep).tobytes()
        size = self.plan.intermediate_size
        rows = np.concatenate([keep + part * size for part in range(self._times(len(stored)))])
        kept: bytes = stored[rows].tobytes()
        return kept

    def _down(self, entry: _Entry, keep: NDArray[Any]) -> NDArray[np.uint8]:
        """One down, decoded, cut or refitted, and written again."""
        import gguf
        import numpy as np

        assert entry.layer is not None
        if self.down is None:
            dense = gguf.quants.dequantize(entry.tensor.data, entry.tensor.tensor_type)
            wanted = np.ascontiguousarray(dense[:, keep], dtype=np.float32)
        else:
            wanted = self.down[entry.layer].float().numpy()
        written = quantized(wanted, entry.kind)
        plain: Any = {"F32": np.float32, "F16": np.float16}.get(entry.kind.name, np.uint8)
        back = gguf.quants.dequantize(written.view(plain), entry.kind)
        self._errors.append((_squares(back - wanted), _squares(wanted)))
        return written

    def _padded(self, nbytes: int) -> int:
        alignment = int(self.reader.alignment)
        return -(-nbytes // alignment) * alignment


def _squares(numbers: NDArray[np.float32]) -> float:
    import numpy as np

    return float(np.square(numbers, dtype=np.float64).sum())


def _text(text: str) -> bytes:
    encoded = text.encode("utf8")
    return struct.pack("<Q", len(encoded)) + encoded
