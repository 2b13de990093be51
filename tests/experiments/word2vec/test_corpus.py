"""What word2vec reads and draws: texts, vocabularies, samples, analogies, memory."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from widthwise.errors import AssetError, LimitError
from widthwise.experiments.word2vec import (
    load_corpus,
)

TEXT = "The cat, the dog.\n\nA cat's naïve DOG; THE end the\n" * 3


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_text_becomes_numbers_by_falling_count(tmp_path: Path) -> None:
    corpus = load_corpus(written(tmp_path / "a.txt", TEXT), min_count=1)
    assert corpus.words == ("the", "cat", "dog", "a", "s", "na", "ve", "end")
    assert corpus.counts.tolist() == [12, 6, 6, 3, 3, 3, 3, 3]
    assert corpus.ids[:12].tolist() == [0, 1, 0, 2, 3, 1, 4, 5, 6, 2, 0, 7]
    assert corpus.starts.tolist() == [0, 4, 13, 17, 26, 30]
    assert corpus.raw == len(corpus.ids) == 39


def test_rare_words_leave_the_text_and_the_vocabulary(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", TEXT)
    frequent = load_corpus(path, min_count=6)
    assert frequent.words == ("the", "cat", "dog")  # 12, 6 and 6 times
    assert frequent.raw == 39
    assert np.array_equal(np.bincount(frequent.ids), frequent.counts)
    few = load_corpus(path, vocabulary=2, min_count=1)
    assert few.words == ("the", "cat")
    assert few.ids[:5].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
def test_chunks_and_compression_change_nothing(
    tmp_path: Path, monkeypatch: Any, chunk: int
) -> None:
    whole = load_corpus(written(tmp_path / "a.txt", TEXT), min_count=1)
    monkeypatch.setattr("widthwise.experiments.word2vec.corpus._CHUNK", chunk)
    packed = load_corpus(written(tmp_path / "a.gz", gzip.compress(TEXT.encode())), min_count=1)
    assert Counter(packed.words) == Counter(whole.words)
    assert np.array_equal(packed.ids, whole.ids)
    if chunk == 64:  # a line longer than a chunk is cut
        assert np.array_equal(packed.starts, whole.starts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no text at"),
        (b"", "has 0 words that occur 5 times or more"),
        ("one two three " * 4, "give a longer text, or a lower --min-count"),
        ("word " * 9, "has 1 word that occurs 5 times or more"),
        (gzip.compress(b"a b c " * 9, mtime=0)[:-12], "is damaged"),
        (b"\x1f\x8bnothing", "is damaged"),
    ],
)
def test_a_text_that_is_none_is_refused(
    tmp_path: Path, content: bytes | str | None, message: str
) -> None:
    path = tmp_path / "text"
    if content is not None:
        written(path, content)
    with pytest.raises(AssetError, match=message):
        load_corpus(path)


def test_a_word_that_occurs_once_is_one_time(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="has 1 word that occurs 1 time or more"):
        load_corpus(written(tmp_path / "text", "word"), min_count=1)


def test_a_vocabulary_has_at_least_one_word(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="vocabulary must be at least 1; got 0"):
        load_corpus(written(tmp_path / "a", TEXT), vocabulary=0)
