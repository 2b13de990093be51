"""A checkpoint folder written as a GGUF file of any type, which llama.cpp loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...assets import architecture_of, gguf_reader
from ...errors import CheckpointError, OutputError, RunError, TargetError, UnsupportedModelError
from ...io import check_new_file, locked_workdir, replace_file, run_periodically
from ...notices import notice
from ..checkpoint import Checkpoint, ModelSource, check_complete, free_disk_bytes, is_gguf
from .converter import check_convertible, convert, require_sentencepiece, words_bytes
from .file_types import FILE_TYPES, PLAIN, fallbacks, file_type_number, kinds_at
from .layout import Entry, filled, head, whole_number
from .llama_cpp import UNEVEN
from .quantize import bytes_each, has_llama, quantized
from .sound_weights import check_weights, is_padded
from .writer import padding_note

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK_BYTES = 64 * 2**20  # of float32, quantized at a time
_VECTOR_BYTES = 4  # of a number: in a file of any type they are float32
_BY_ANYBODY = (*PLAIN, "q8_0")
_QUANTIZATION_VERSION = 2  # of the layout of blocks
_LOOK_SEC = 0.5  # between two looks at a file that grows

ShareCallback = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """A GGUF file that was written.

    Attributes:
        path: The file.
        file_type: One of `FILE_TYPES`.
        bytes_before: Of the checkpoint's weights.
        bytes_after: Of the file.
        kinds: Number of tensors of each type.
        padded_to: Width to which zeros fill up narrower layers; None where there are none.
        smaller: The same, of those whose rows do not fill the blocks that they would have.
    """

    path: Path
    file_type: str
    bytes_before: int
    bytes_after: int
    kinds: Mapping[str, int]
    padded_to: int | None
    smaller: Mapping[str, int]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        text = (
            f"{self.path}: {self.file_type}, {self.bytes_after:,} bytes of "
            f"{self.bytes_before:,} ({self.bytes_after / self.bytes_before:.1%}); {counts}"
        )
        if self.padded_to is not None:
            text = f"{text}\n{padding_note(self.padded_to)}"
        if not self.smaller:
            return text
        count, kinds = sum(self.smaller.values()), " and ".join(sorted(self.smaller))
        if count == 1:
            which = "The rows of one tensor do not fill the blocks of its type; it is"
        else:
            which = f"The rows of {count} tensors do not fill the blocks of their type; these are"
        return f"{text}\n{which} {kinds}, as llama.cpp has it."


def export_gguf(
    source: ModelSource,
    out: Path,
    file_type: str,
    *,
    force: bool = False,
    progress: ShareCallback = lambda *_: None,
) -> ExportResult:
    """Write a checkpoint folder as a GGUF file; it appears whole or not at all.

    Metadata, tokenizer and names are the work of llama.cpp's converter, and so is the type of each
    tensor. Layers that zeros pad to a common width are written in their own where llama.cpp reads
    such a file.

    Args:
        source: The checkpoint.
        out: The file to write, by the name of a `.gguf` file.
        file_type: One of `FILE_TYPES`.
        force: Whether an existing file is replaced.
        progress: Function that is called with the share of a part of the work that is done, from 0
            to 1, and with what that part is; of the converter's from a thread.

    Raises:
        TargetError: There is no such type.
        UnsupportedModelError: The converter does not know the model, it has no tokenizer, or it is
            a GGUF file already.
        CheckpointError: Weights are missing, damaged or not finite, or those that the config calls
            padding are not zero.
        OutputError: `out` exists or cannot be written.
        RunError: A package is missing.
        AssetError: The converter cannot be fetched.

    Cost: types with blocks need the disk for a copy of the checkpoint in float meanwhile; memory is
    that of the largest tensor, in float32.
    """
    _check(source, out, file_type, force=force)
    with source.checkpoint as checkpoint:
        check_complete(checkpoint)
        check_convertible(checkpoint)
        before = sum(stored.spec.nbytes for stored in checkpoint.tensors.values())
        stored = max(checkpoint.architecture.neurons())
        work = out.absolute().with_name(f".{out.name}.widthwise-export")
        try:
            with locked_workdir(work), replace_file(out, only_new=not force) as partial:
                _refuse_full_disk(checkpoint, out, file_type, before)
                check_weights(checkpoint)
                kinds, smaller = _write(checkpoint, work, partial, file_type, progress)
                is_uneven = architecture_of(gguf_reader(partial)) in UNEVEN.values()
        except OSError as error:
            raise OutputError(f"{out} was not written: {error}") from error
    return ExportResult(
        path=out.absolute(),
        file_type=file_type,
        bytes_before=before,
        bytes_after=out.stat().st_size,
        kinds=kinds,
        padded_to=stored if is_padded(checkpoint) and not is_uneven else None,
        smaller=smaller,
    )


def check_file_type(file_type: str) -> None:
    """Refuse a type that cannot be written here.

    Raises:
        TargetError: There is no such type.
        RunError: A package is missing.
    """
    if file_type not in FILE_TYPES:
        raise TargetError(f"--type must be one of {', '.join(FILE_TYPES)}; got {file_type!r}")
    if file_type not in _BY_ANYBODY and not has_llama():
        raise RunError(
            f"{file_type} is written by llama.cpp's own code, in the package xllamacpp: "
            f"pip install 'widthwise[gguf]', or take --type {', '.join(_BY_ANYBODY)}"
        )


def _check(source: ModelSource, out: Path, file_type: str, *, force: bool) -> None:
    """Raise where the type or the place does not allow it; opens no checkpoint."""
    check_file_type(file_type)
    if source.gguf is not None:
        raise UnsupportedModelError(
            f"{source.name} is a GGUF file already; export takes a checkpoint folder, and prune "
            "cuts a GGUF file to a smaller one"
        )
    if not is_gguf(out):
        raise OutputError(f"{out}: the name of the result must end in .gguf")
    check_new_file(out, force=force)
    require_sentencepiece()


def _refuse_full_disk(checkpoint: Checkpoint, out: Path, file_type: str, before: int) -> None:
    """Raise where the result, and what is written on the way, does not fit on the disk; say where
    the result is larger than the checkpoint."""
    numbers = sum(stored.spec.numel for stored in checkpoint.tensors.values())
    vectors = sum(
        each.spec.numel for each in checkpoint.tensors.values() if len(each.spec.shape) == 1
    )
    result = int((numbers - vectors) * _bytes_each(file_type))
    result += _VECTOR_BYTES * vectors + words_bytes(checkpoint)
    meanwhile = 0 if file_type in PLAIN else int(numbers * _bytes_each(_float_type(checkpoint)))
    free = free_disk_bytes(out.absolute().parent)
    if result + meanwhile > free:
        raise OutputError(
            f"{out}: the disk is full: about {result + meanwhile:,} bytes are needed, {free:,} are "
            "free"
        )
    if result > before:
        notice(
            f"{out} will have about {result:,} bytes, more than the {before:,} of the weights of "
            f"{checkpoint.name}; a smaller --type makes it smaller."
        )


def _bytes_each(file_type: str) -> float:
    """Bytes of a number in the type of most tensors."""
    from gguf import GGMLQuantizationType as Kind

    return bytes_each(Kind[FILE_TYPES[file_type][1]])


def _float_type(checkpoint: Checkpoint) -> str:
    """The type without blocks that holds the numbers of a checkpoint as they are."""
    stored = {each.spec.dtype for each in checkpoint.tensors.values() if each.spec.is_float}
    return {"F16": "f16", "BF16": "bf16"}.get("".join(stored), "f32")


def _write(
    checkpoint: Checkpoint, work: Path, partial: Path, file_type: str, progress: ShareCallback
) -> tuple[dict[str, int], dict[str, int]]:
    """The file, and how many tensors it has of each type: of all, and of those whose rows do not
    fill the blocks that they would have."""
    is_plain = file_type in PLAIN
    written = partial if is_plain else work / "float.gguf"
    plain = file_type if is_plain else _float_type(checkpoint)
    numbers = sum(each.spec.numel for each in checkpoint.tensors.values())
    with _watched(written, int(numbers * _bytes_each(plain)), progress):
        convert(checkpoint, work, written, plain)
    reader = gguf_reader(written)
    entries = [Entry.of(tensor) for tensor in reader.tensors]
    if is_plain:
        _refuse_infinite(entries)
        return _count(entries), {}
    kinds = kinds_at(reader, entries, file_type)
    smaller = {entry.name for entry in fallbacks(reader, entries, file_type)}
    entries = [replace(entry, kind=kind) for entry, kind in zip(entries, kinds, strict=True)]
    changed = {
        name: whole_number(name, number)
        for name, number in (
            ("general.file_type", file_type_number(file_type)),
            ("general.quantization_version", _QUANTIZATION_VERSION),
        )
    }
    with open(partial, "wb") as file:
        file.write(head(reader, entries, changed))
        done, whole = 0, sum(entry.tensor.n_elements for entry in entries)
        for entry in entries:
            progress(done / whole, f"writing {entry.name}")
            for block in filled(reader, entry, _blocks(entry)):
                file.write(block)
            done += entry.tensor.n_elements
    progress(1.0, "written")
    return _count(entries), _count([entry for entry in entries if entry.name in smaller])


@contextmanager
def _watched(file: Path, size: int, progress: ShareCallback) -> Iterator[None]:
    """While open, tell how much of a file another process has written, which has so many bytes."""
    label = "converting by llama.cpp's program"

    def look() -> None:
        with suppress(FileNotFoundError):
            progress(min(1.0, file.stat().st_size / size), label)

    progress(0.0, label)
    end = run_periodically(look, _LOOK_SEC, name="size of the converted file")
    try:
        yield
    finally:
        end()


def _count(entries: Sequence[Entry]) -> dict[str, int]:
    return dict(Counter(str(entry.kind.name) for entry in entries).most_common())


def _refuse_infinite(entries: Sequence[Entry]) -> None:
    """Raise CheckpointError where a number does not fit into float16."""
    import numpy as np

    for entry in entries:
        if entry.kind.name == "F16":
            for rows in _rows(entry):
                if not np.isfinite(rows).all():
                    raise CheckpointError(
                        f"{entry.name} holds numbers that float16 cannot; take --type bf16"
                    )


def _rows(entry: Entry) -> Iterator[NDArray[Any]]:
    """A stored tensor as rows, a part at a time."""
    stored = entry.tensor.data
    rows = stored.reshape(-1, stored.shape[-1])
    step = max(1, _CHUNK_BYTES // (4 * entry.shape[0]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _blocks(entry: Entry) -> Iterator[bytes]:
    """The bytes of a tensor in the type that it has in the result."""
    import gguf
    import numpy as np

    for rows in _rows(entry):
        if entry.kind == entry.tensor.tensor_type:
            yield rows.tobytes()
            continue
        numbers = gguf.quants.dequantize(rows, entry.tensor.tensor_type)
        if not np.isfinite(numbers).all():
            raise CheckpointError(f"{entry.name} holds NaN or Inf")
        yield quantized(numbers, entry.kind).tobytes()
