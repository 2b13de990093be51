"""Text as rows of tokens, some to train on and some held out."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError
from ...io import UNPACK_ERRORS, check_plain_text, open_unpacked

if TYPE_CHECKING:
    from torch import Tensor

BYTES = 256
LEAST_ROWS, MOST_HELD, HELD_SHARE = 64, 64, 16
_PIECE = 1 << 16  # bytes read at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenRows:
    """A text in rows of one length.

    Attributes:
        source: Name for people.
        fingerprint: sha256 over its tokens.
        vocabulary: Number of different tokens.
        train: Rows to train on, shape (rows, tokens).
        held_out: Rows to measure on, about every sixteenth, 64 at most.
    """

    source: str
    fingerprint: str
    vocabulary: int
    train: Tensor
    held_out: Tensor


def read_rows(source: Path, *, tokens: int, most: int, tokenizer: Any = None) -> TokenRows:
    """The beginning of a text as rows of tokens.

    Args:
        source: File, or folder whose files are read in the order of their names; gzip is unpacked.
        tokens: Length of a row.
        most: Most rows to train on; a longer text is not read to its end.
        tokenizer: Tokenizer of transformers; None takes every byte for a token.

    Raises:
        RunError: It cannot be read, is no plain text, or has fewer than 64 rows.
    """
    wanted = (max(most, LEAST_ROWS) * HELD_SHARE // (HELD_SHARE - 1) + 1) * tokens
    parts: list[NDArray[np.int64]] = []
    length = 0
    for ids in _token_ids(_bytes(_files(source)), tokenizer):
        parts.append(ids)
        length += len(ids)
        if length >= wanted:
            break
    rows = min(length, wanted) // tokens
    if rows < LEAST_ROWS:
        raise RunError(
            f"{source}: holds {length:,} tokens, and {LEAST_ROWS * tokens:,} are the least for "
            f"rows of {tokens}"
        )
    ids = np.concatenate(parts)[: rows * tokens]
    vocabulary = BYTES if tokenizer is None else len(tokenizer)
    return _split(ids.reshape(rows, tokens), str(source), vocabulary)


def _split(ids: NDArray[np.int64], source: str, vocabulary: int) -> TokenRows:
    import torch

    held = min(MOST_HELD, len(ids) // HELD_SHARE)
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[np.arange(held) * len(ids) // held] = True
    return TokenRows(
        source=source,
        fingerprint=hashlib.sha256(ids.tobytes()).hexdigest(),
        vocabulary=vocabulary,
        train=torch.from_numpy(ids[~chosen]),
        held_out=torch.from_numpy(ids[chosen]),
    )


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise RunError(f"{source}: no such file or folder of text")
    files = [path for path in source.rglob("*") if path.is_file() and path.name[0] != "."]
    if not files:
        raise RunError(f"{source}: holds no file of text")
    return sorted(files)


def _bytes(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        check_plain_text(path, tables=True)
        try:
            with open_unpacked(path) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except (OSError, *UNPACK_ERRORS) as error:
            raise RunError(f"{path}: cannot be read as text: {error}") from error


def _token_ids(pieces: Iterator[bytes], tokenizer: Any) -> Iterator[NDArray[np.int64]]:
    """Tokens of a text, piece by piece; without a tokenizer every byte is one."""
    decoder = codecs.getincrementaldecoder("utf8")("replace")
    for piece in pieces:
        if tokenizer is None:
            yield np.frombuffer(piece, dtype=np.uint8).astype(np.int64)
        else:
            text = decoder.decode(piece)
            ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            yield np.asarray(ids, dtype=np.int64)
