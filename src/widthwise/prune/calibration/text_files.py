"""Text in pieces, from wherever it lies: files, folders, a data set of the hub, embedded data."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

from ...assets import benchmark_rows, coqa_passages, mmlu_rows
from ...errors import RunError
from ...io import UNPACK_ERRORS, check_plain_text, holds_rows, lfs_pointer, open_unpacked
from .text_folder import SOURCES, SUFFIXES, folder_text, kind_of, source_fault
from .text_mix import split_off
from .text_rows import CONVERSATIONS, RowReader, is_conversation

Item = TypeVar("Item")

_PIECE_CHARACTERS = 4000
_READ_CHARACTERS = 1 << 16
_AT_ONCE = 128  # files that take turns: each is open, and systems allow 256 at least

# Texts of the embedded data that no task of ours scores: prose, and questions of several kinds. All
# are validation splits, and of those only MMLU's belongs to a task of `evaluate`, which scores its
# test split.
_PAIRS = {
    "super_glue/cb": ("premise", "hypothesis"),
    "glue/rte": ("sentence1", "sentence2"),
    "glue/mrpc": ("sentence1", "sentence2"),
    "social_i_qa/none": ("context", "question", "answerA"),
    "tau/commonsense_qa/none": ("question",),
}
EMBEDDED_TEXT = (
    "embedded text: passages of CoQA; validation splits of MMLU, CB, RTE, MRPC, Social IQa, "
    "CommonsenseQA"
)


def round_robin(streams: Sequence[Iterable[Item]]) -> Iterator[Item]:
    """One item of each stream after the other, until all have ended; of many, some at a time."""
    coming = iter(streams)
    waiting = [iter(stream) for stream in islice(coming, _AT_ONCE)]
    while waiting:
        for stream in list(waiting):
            item = next(stream, None)
            if item is None:
                waiting.remove(stream)
                waiting += [iter(following) for following in islice(coming, 1)]
            else:
                yield item


def embedded_streams() -> list[Iterator[str]]:
    """Pieces of the embedded text, a stream a data set."""

    def rows(name: str, columns: tuple[str, ...]) -> Iterator[str]:
        for row in benchmark_rows(name, "validation"):
            yield " ".join(row[column] for column in columns)

    def subjects() -> Iterator[str]:
        for row in round_robin([*mmlu_rows("validation").values()]):
            choices = zip("ABCD", row["choices"], strict=True)
            yield "\n".join([row["question"], *(f"{letter}. {text}" for letter, text in choices)])

    pairs = (rows(name, columns) for name, columns in _PAIRS.items())
    return [iter(coqa_passages()), subjects(), *pairs]


def open_streams(source: str, reader: RowReader) -> list[Iterator[str]]:
    """Pieces of a text, a stream a file; a file is opened when its first piece is asked for.

    Args:
        source: A file, a folder or a data set of the hub, of which a split may be named behind it:
            `data@test`; a path that exists is one.
        reader: Notes how rows are read, and which files.

    Raises:
        RunError: There is no such text, or data lies in the folder that would be passed over.
    """
    name, split = split_off(source)
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        text = folder_text(path, split)
        if text.note:
            reader.notes[text.note] = None
        return [_file(file, reader, is_code=text.is_code) for file in text.files]
    if path.is_file():
        if split is not None:
            raise RunError(f"{name}: is one file, which has no splits; drop @{split}")
        return [_file(path, reader)]
    is_local = path.exists() or path.is_symlink() or kind_of(path) in (*SUFFIXES, *SOURCES)
    if not is_local and re.fullmatch(r"\w[\w.-]*/[\w.-]+(:[\w.-]+)?", name):
        return [_from_hub(name, split or "train", reader)]
    raise RunError(
        f"{source}: no such file or folder of text, nor a data set of the hub (org/name)"
    )


def _file(path: Path, reader: RowReader | None = None, *, is_code: bool = False) -> Iterator[str]:
    """Pieces of one file: rows of a table, or paragraphs of a text; none of a faulty source."""
    reader = reader or RowReader()
    if is_code and (fault := source_fault(path)):
        reader.left_out[fault] += 1
        return
    with _readable(path):
        if pointer := lfs_pointer(path, "the text"):
            raise RunError(f"{path}: {pointer}")
        if kind_of(path) == ".parquet":
            yield from reader.texts(_parquet(path), str(path))
            return
        check_plain_text(path)
        if kind_of(path) in (".csv", ".tsv"):
            check_plain_text(path, tables=True)
        with TextIOWrapper(open_unpacked(path), encoding="utf-8-sig") as file:
            if kind_of(path) == ".json":
                yield from reader.texts(_json(file.read()), str(path))
            elif kind_of(path) in (".jsonl", ".ndjson") or holds_rows(path):
                yield from reader.texts(_lines(file), str(path))
            else:
                yield from _pieces(file)


def plain_text(path: Path) -> str:
    """All of a file of prose, which may be packed.

    Raises:
        RunError: It cannot be read, or is a table.
    """
    check_plain_text(path, tables=True)
    with _readable(path), open_unpacked(path) as file:
        return file.read().decode("utf8")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of reading a file name it, and what is wrong with it as text."""
    try:
        yield
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise RunError(
            f"{path}: cannot be read as text: it is not UTF-8 (byte {wrong:#x}); save it as UTF-8"
        ) from error
    except (OSError, *UNPACK_ERRORS, ValueError, ArithmeticError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read as text: {error}") from error


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet

    for group in pyarrow.parquet.ParquetFile(path).iter_batches(256):
        yield from group.to_pylist()


def _lines(lines: Iterable[str]) -> Iterator[Any]:
    """Rows of JSON lines; a line may hold an array of rows as well."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number:,} is no JSON ({error}); mend or remove it") from error
        yield from _rows(value)


def _json(text: str) -> Iterator[Any]:
    """Rows of a JSON text, which may in truth be JSON lines."""
    try:
        value = json.loads(text)
    except ValueError:
        if len(text.splitlines()) < 2:
            raise
        yield from _lines(text.splitlines())
        return
    if isinstance(value, dict):  # {"data": [...]}
        lists = [rows for rows in value.values() if rows and isinstance(rows, list)]
        tables = [rows for rows in lists if all(isinstance(row, dict) for row in rows)]
        if len(tables) == 1 and not set(value) & set(CONVERSATIONS):
            value = tables[0]
    yield from _rows(value)


def _rows(value: Any) -> Iterator[Any]:
    """The rows of an array; the value itself where it is one row, as a list of turns is."""
    is_table = isinstance(value, list) and not is_conversation(value)
    yield from value if is_table else [value]


def _pieces(file: TextIO) -> Iterator[str]:
    """A long text in pieces that end where a paragraph, a line or at least a word ends."""
    rest = ""
    while True:
        while len(rest) <= _PIECE_CHARACTERS and (part := file.read(_READ_CHARACTERS)):
            rest += part
        if not rest:
            return
        end = len(rest)
        if end > _PIECE_CHARACTERS:
            breaks = (rest.rfind(mark, 1, _PIECE_CHARACTERS) for mark in ("\n\n", "\n", " "))
            end = next((position for position in breaks if position > 0), _PIECE_CHARACTERS)
        yield rest[:end].strip()
        rest = rest[end:]


def _from_hub(source: str, split: str, reader: RowReader) -> Iterator[str]:
    try:
        import datasets
    except ImportError as error:
        raise RunError(
            f"{source}: a data set of the hub needs another package; pip install 'widthwise[eval]'"
        ) from error
    name, _, subset = source.partition(":")
    try:
        rows = datasets.load_dataset(name, subset or None, split=split, streaming=True)
        reader.notes[f"split {split}"] = None
        yield from reader.texts(islice(rows, 10**6), source)
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).splitlines()[:2])
        advice = f"; name a split as in {source}@test" if "split" in said else ""
        raise RunError(f"{source}: it cannot be downloaded from the hub: {said}{advice}") from error
