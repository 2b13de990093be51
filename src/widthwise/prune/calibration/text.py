"""Text to calibrate on: read from anywhere, cut into blocks of tokens, half of them held out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from ...assets import benchmark_rows, coqa_passages, mmlu_subjects
from ...chat import chat_template_of
from ...errors import RunError
from ...io import check_plain_text, files_in, holds_rows, is_data_card, is_numbers, open_unpacked
from ...notices import notice
from .text_rows import CONVERSATIONS, NUMBERS, RowReader, is_conversation

if TYPE_CHECKING:
    from torch import Tensor

Thing = TypeVar("Thing")

BLOCK_TOKENS = 512
BATCH_BLOCKS = 8
TOKENS = 65_536
LEAST_KINDS = 16  # different tokens, below which no text is a text
_PIECE_CHARACTERS = 4000
_READ_CHARACTERS = 1 << 16
_AT_ONCE = 128  # files that take turns: each is open, and systems allow 256 at least
_SUFFIXES = (".txt", ".md", ".rst", ".jsonl", ".ndjson", ".json", ".parquet")  # .gz of all but last
_OTHER_DATA: tuple[str, ...] = (
    ".arrow",
    ".bin",
    ".bz2",
    ".csv",
    ".feather",
    ".h5",
    ".idx",
    ".lz4",
    ".mmap",
    ".npy",
)
_OTHER_DATA += (".mds", ".npz", ".pkl", ".pt", ".tar", ".tfrecord", ".tgz", ".tsv", ".xz", ".zip")
_OTHER_DATA += (".zst", ".zstd")
_MOVE_OUT = "write it as text, JSON lines or Parquet, or move it out of the folder"

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


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Token rows of one length, run together.

    Attributes:
        input_ids: Shape (rows, tokens).
        attention_mask: Of the same shape, 0 where padding stands; None where there is none.
    """

    input_ids: Tensor
    attention_mask: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Tokens that are no padding."""
        mask = self.attention_mask
        return self.input_ids.numel() if mask is None else int(mask.bool().sum())


@dataclass(frozen=True, kw_only=True)
class CalibrationText:
    """Calibration text as tokens.

    Attributes:
        source: What it is, for people.
        fingerprint: sha256 over its tokens, padding left out.
        fit: The half that sums are fitted to.
        held_out: The half that they are judged on.
    """

    source: str
    fingerprint: str
    fit: tuple[TokenBatch, ...]
    held_out: tuple[TokenBatch, ...]

    @property
    def tokens(self) -> int:
        """Tokens of both halves."""
        return sum(batch.tokens for batch in (*self.fit, *self.held_out))


def text_of(batches: Iterable[dict[str, Tensor]], source: str = "batches") -> CalibrationText:
    """Calibration text from keyword arguments of a model; every second batch is held out.

    Raises:
        RunError: Fewer than two batches with tokens, or hardly any different tokens.
    """
    made = [
        TokenBatch(input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"))
        for batch in batches
    ]
    made = [batch for batch in made if batch.tokens]
    if len(made) < 2:
        raise RunError(
            "calibration needs at least two batches that are not all padding, one to fit and one "
            f"to hold out; got {len(made)}"
        )
    return _text(source, made[::2], made[1::2])


def read_text(source: str | Path | None, tokenizer: Any, tokens: int = TOKENS) -> CalibrationText:
    """Calibration text, its first half to fit and its second half held out.

    Args:
        source: A file of text or JSON lines, also packed as .gz, or of Parquet, a folder of such
            files, a data set of the hub (`"org/name"` or `"org/name:subset"`, its split train);
            None for the embedded text. Of rows, a conversation, a question with its answer or a
            column of text is taken, and `CalibrationText.source` names which.
        tokenizer: The model's own; its chat template, if it has one, writes conversations.
        tokens: Most tokens to take, in blocks of `BLOCK_TOKENS`; files and subjects take turns.

    Raises:
        RunError: It cannot be read, holds token ids or other data that is no text, does not tell
            which of its columns is the text, or holds fewer tokens than two blocks.
    """
    check_source(source, tokens)
    name = EMBEDDED_TEXT if source is None else str(source)
    reader = RowReader(chat_template_of(tokenizer))
    pieces = _round_robin(_embedded() if source is None else _streams(str(source), reader))
    ids = _token_ids(pieces, tokenizer, tokens, name)
    if reader.notes:
        name = f"{name} ({'; '.join(reader.notes)})"
        notice(f"Text of {name}.")
    start = _prefix(tokenizer)
    size = BLOCK_TOKENS - len(start)
    blocks = [start + ids[i : i + size] for i in range(0, len(ids) - size + 1, size)]
    blocks = blocks[: tokens // BLOCK_TOKENS]
    if len(blocks) < 2:
        raise RunError(
            f"{name}: holds too little text, {len(ids):,} tokens; {2 * BLOCK_TOKENS:,} are the "
            f"least, {TOKENS:,} usual"
        )
    half = len(blocks) // 2
    return _text(name, _batches(blocks[:half]), _batches(blocks[half:]))


def check_source(source: str | Path | None, tokens: int = TOKENS) -> None:
    """Refuse a text that cannot be read, as far as neither tokenizer nor network tell.

    Arguments as for `read_text`.

    Raises:
        RunError: Too few tokens, an empty name, or no such file or folder.
    """
    if tokens < 2 * BLOCK_TOKENS:
        raise RunError(f"--tokens must be at least {2 * BLOCK_TOKENS}; got {tokens}")
    if source is None:
        return
    if not str(source).strip():
        raise RunError("a text must be named: a file, a folder or a data set; got an empty name")
    _streams(str(source), RowReader())  # opened when they are read


def _text(
    source: str, fit: Sequence[TokenBatch], held_out: Sequence[TokenBatch]
) -> CalibrationText:
    import torch

    digest, kinds = hashlib.sha256(), set()
    for batch in (*fit, *held_out):
        ids, mask = batch.input_ids, batch.attention_mask
        kept = (ids if mask is None else ids[mask.bool()]).reshape(-1).to("cpu", torch.int64)
        digest.update(kept.numpy().tobytes())
        kinds.update(kept.tolist())
    if len(kinds) < LEAST_KINDS:
        raise RunError(
            f"{source}: is no text to calibrate on; it holds {len(kinds)} different "
            f"token{'s' if len(kinds) > 1 else ''} over and over"
        )
    return CalibrationText(
        source=source, fingerprint=digest.hexdigest(), fit=tuple(fit), held_out=tuple(held_out)
    )


def _batches(blocks: Sequence[list[int]]) -> list[TokenBatch]:
    import torch

    groups = (blocks[i : i + BATCH_BLOCKS] for i in range(0, len(blocks), BATCH_BLOCKS))
    return [TokenBatch(input_ids=torch.tensor(group)) for group in groups]


def _token_ids(pieces: Iterable[str], tokenizer: Any, tokens: int, name: str) -> list[int]:
    ids: list[int] = []
    read: list[str] = []
    for piece in pieces:
        read.append(piece)
        piece = piece.encode("utf8", "replace").decode("utf8")  # JSON may hold halves of characters
        ids += tokenizer(piece + "\n\n", add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= tokens:
            break
    if ids and is_numbers("".join(read)):
        raise RunError(f"{name}: {NUMBERS}")
    return ids[:tokens]


def _prefix(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before a text (BOS), with which every block must begin."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    return list(whole[: whole.index(bare[0])]) if bare and bare[0] in whole else []


def _round_robin(streams: Sequence[Iterable[Thing]]) -> Iterator[Thing]:
    """One thing of each stream after the other, until all have ended; of many, some at a time."""
    coming = iter(streams)
    waiting = [iter(stream) for stream in islice(coming, _AT_ONCE)]
    while waiting:
        for stream in list(waiting):
            thing = next(stream, None)
            if thing is None:
                waiting.remove(stream)
                waiting += [iter(following) for following in islice(coming, 1)]
            else:
                yield thing


def _embedded() -> list[Iterator[str]]:
    def rows(name: str, columns: tuple[str, ...]) -> Iterator[str]:
        for row in benchmark_rows(name, "validation"):
            yield " ".join(row[column] for column in columns)

    def subjects() -> Iterator[str]:
        rows = [benchmark_rows(f"mmlu/{subject}", "validation") for subject in mmlu_subjects()]
        for row in _round_robin(rows):
            choices = zip("ABCD", row["choices"], strict=True)
            yield "\n".join([row["question"], *(f"{letter}. {text}" for letter, text in choices)])

    pairs = (rows(name, columns) for name, columns in _PAIRS.items())
    return [iter(coqa_passages()), subjects(), *pairs]


def _streams(source: str, reader: RowReader) -> list[Iterator[str]]:
    path = Path(os.path.expanduser(source))
    if path.is_dir():
        below = files_in(path)
        _check_all_text(below)
        files = [file for file in below if _kind(file) in _SUFFIXES]
        if not files:
            kinds = f"{', '.join(_SUFFIXES)}, and .gz of all but the last"
            raise RunError(f"{path}: holds no file of text ({kinds})")
        texts = [file for file in files if not is_data_card(file)]
        return [_file(file, reader) for file in texts or files]
    if path.is_file():
        return [_file(path, reader)]
    is_local = path.exists() or path.is_symlink() or _kind(path) in _SUFFIXES
    if not is_local and re.fullmatch(r"\w[\w.-]*/[\w.-]+(:[\w.-]+)?", source):
        return [_from_hub(source, reader)]
    raise RunError(
        f"{source}: no such file or folder of text, nor a data set of the hub (org/name)"
    )


def _kind(file: Path) -> str:
    """The suffix that says what is in a file; none of packed Parquet, which no reader takes."""
    inner = Path(file.name.removesuffix(".gz")).suffix
    return "" if file.suffix == ".gz" and inner == ".parquet" else inner


def _check_all_text(files: Sequence[Path]) -> None:
    """Raise RunError where there is data that would be passed over."""
    for file in files:
        if file.suffix.lower() in _OTHER_DATA:
            check_plain_text(file, tables=True)
            raise RunError(f"{file}: cannot be read as text; {_MOVE_OUT}")


def _file(path: Path, reader: RowReader | None = None) -> Iterator[str]:
    """Pieces of one file: rows of a table, or paragraphs of a text."""
    reader = reader or RowReader()
    try:
        if _kind(path) == ".parquet":
            yield from reader.texts(_parquet(path), str(path))
            return
        check_plain_text(path)
        if _kind(path) in (".csv", ".tsv"):
            check_plain_text(path, tables=True)
        with TextIOWrapper(open_unpacked(path), encoding="utf-8-sig") as file:
            if _kind(path) == ".json":
                yield from reader.texts(_json(file.read()), str(path))
            elif _kind(path) in (".jsonl", ".ndjson") or holds_rows(path):
                yield from reader.texts(_lines(file), str(path))
            else:
                yield from _pieces(file)
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise RunError(
            f"{path}: cannot be read as text: it is not in UTF-8 (byte {wrong:#x}); write it in "
            "UTF-8"
        ) from error
    except (OSError, EOFError, zlib.error, ValueError, ArithmeticError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read as text: {error}") from error


def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow.parquet

    for group in pyarrow.parquet.ParquetFile(path).iter_batches(256):
        yield from group.to_pylist()


def _lines(lines: Iterable[str]) -> Iterator[Any]:
    """Rows of JSON lines; a line may hold an array of rows as well."""
    for line in lines:
        if line.strip():
            yield from _rows(json.loads(line))


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
        tables = [rows for rows in value.values() if _is_table(rows)]
        if len(tables) == 1 and not set(value) & set(CONVERSATIONS):
            value = tables[0]
    yield from _rows(value)


def _rows(value: Any) -> Iterator[Any]:
    """The rows of an array; the value itself where it is one row, as a list of turns is."""
    is_table = isinstance(value, list) and not is_conversation(value)
    yield from value if is_table else [value]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


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
            end = next((place for place in breaks if place > 0), _PIECE_CHARACTERS)
        yield rest[:end].strip()
        rest = rest[end:]


def _from_hub(source: str, reader: RowReader) -> Iterator[str]:
    try:
        import datasets
    except ImportError as error:
        raise RunError(
            f"{source}: a data set of the hub needs another package; pip install 'widthwise[eval]'"
        ) from error
    name, _, subset = source.partition(":")
    try:
        rows = datasets.load_dataset(name, subset or None, split="train", streaming=True)
        yield from reader.texts(islice(rows, 10**6), source)
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{source}: the hub did not give it: {str(error).splitlines()[0]}"
        ) from error
