"""A text as numbers: vocabulary, counts, and a number for each word."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import AssetError
from ...io import UNPACK_ERRORS, check_plain_text, file_sha256, open_unpacked
from ...stats import counted
from ...theory import check_least

_LOWER = bytes(
    byte + 32 if 65 <= byte <= 90 else byte if 97 <= byte <= 122 or byte == 10 else 32
    for byte in range(256)
)
_CHUNK = 2**24  # bytes of text at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A text whose words are numbers, 0 being the most frequent.

    Attributes:
        words: The vocabulary by falling count; words of equal count as they first appear.
        counts: Counts of these words, int64 of shape (vocabulary,).
        ids: The words of the text that are in the vocabulary, int32 of shape (length,).
        starts: Indices of `ids` at which lines begin, ascending int64 from 0; no context crosses
            one.
        digest: sha256 of the text's bytes as they are stored.
        raw: Number of words of the text, including those outside the vocabulary.
    """

    words: tuple[str, ...]
    counts: NDArray[np.int64]
    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    digest: str
    raw: int


def load_corpus(path: Path, *, vocabulary: int | None = None, min_count: int = 5) -> Corpus:
    """Read a text. Words are runs of the letters a to z; capitals are lowered.

    Args:
        path: File, also packed (.gz, .bz2, .xz, .zip), which is read twice, 16 MB at a time.
        vocabulary: Largest vocabulary, of the most frequent words; None for all.
        min_count: Least count of a word in the vocabulary.

    Raises:
        LimitError: A bound is below 1.
        AssetError: The file is not there, is damaged, or less than two words of it are left.
        RunError: It is no plain text.
    """
    for name, bound in (("vocabulary", vocabulary), ("min_count", min_count)):
        if bound is not None:
            check_least(name, bound, 1)
    if not path.is_file():
        raise AssetError(f"there is no text at {path}; give a text file, plain or packed")
    check_plain_text(path, tables=True)
    try:
        counter: Counter[bytes] = Counter()
        for chunk in _chunks(path):
            counter.update(chunk.split())
        known = [(word, n) for word, n in counter.most_common(vocabulary) if n >= min_count]
        if len(known) < 2:
            raise AssetError(
                f"{path} has {counted(len(known), 'word')} that occur{'s' * (len(known) == 1)} "
                f"{counted(min_count, 'time')} or more, and there must be at least 2; give a "
                "longer text, or a lower --min-count"
            )
        ids, starts = _numbers(path, {word: i for i, (word, _) in enumerate(known)})
        digest = file_sha256(path)
    except (*UNPACK_ERRORS, gzip.BadGzipFile) as error:
        raise AssetError(f"{path} is damaged: {error}; get it again") from error
    except OSError as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    return Corpus(
        words=tuple(word.decode("ascii") for word, _ in known),
        counts=np.array([n for _, n in known]),
        ids=ids,
        starts=starts,
        digest=digest,
        raw=sum(counter.values()),
    )


def _numbers(path: Path, number: dict[bytes, int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    parts, starts, length = [], [0], 0
    for chunk in _chunks(path):
        for line in chunk.split(b"\n"):
            ids = [number[word] for word in line.split() if word in number]
            if ids:
                parts.append(np.array(ids, dtype=np.int32))
                length += len(ids)
                starts.append(length)
    return np.concatenate(parts), np.array(starts[:-1])


def _chunks(path: Path) -> Iterator[bytes]:
    """The text in lower case with blanks for other bytes, cut at line ends where there are some.

    A line longer than a chunk is cut between words, and then is two lines.
    """
    rest = b""
    with open_unpacked(path) as file:
        while part := file.read(_CHUNK):
            text = rest + part.translate(_LOWER)
            cut = text.rfind(b"\n") + 1 or text.rfind(b" ") + 1
            if len(text) - cut > _CHUNK:
                cut = max(cut, text.rfind(b" ") + 1)
            yield text[:cut]
            rest = text[cut:]
    yield rest
