"""What word2vec reads and draws: texts, vocabularies, samples, analogies, memory."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from widthwise.errors import AssetError, LimitError
from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    Word2vecSettings,
    check_memory,
    load_corpus,
    load_questions,
    networks,
    right_answers,
)
from widthwise.experiments.word2vec import sampling as stream

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


def lines_of(lengths: list[int], words: int = 50) -> Corpus:
    """A text of lines of these lengths, all words as frequent."""
    length = sum(lengths)
    return Corpus(
        words=tuple(map(str, range(words))),
        counts=np.full(words, length // words),
        ids=np.random.default_rng(0).integers(words, size=length).astype(np.int32),
        starts=np.cumsum([0, *lengths[:-1]]),
        digest="",
        raw=length,
    )


def test_contexts_stay_within_the_window_the_line_and_a_thousand_words() -> None:
    corpus = lines_of([30, 1, 2500, 7])
    settings = Word2vecSettings(window=4, sample=1.0)
    block = stream.draw_block(corpus, settings, np.ones(50), (0, 0), seed=1)
    place = np.arange(len(block.ids))
    edges = [0, 30, 31, 1031, 2031, 2531, 2538]
    part = np.searchsorted(edges, place, side="right")
    for end in (block.low, block.high - 1):
        assert np.array_equal(part[end], part)
        assert np.abs(end - place).max() == 4
    inner = block.high[100:1000] - block.low[100:1000]
    sizes, counts = np.unique(inner, return_counts=True)
    assert sizes.tolist() == [3, 5, 7, 9]  # one window as likely as another
    assert np.abs(counts - 225).max() < 5 * (900 * 3 / 16) ** 0.5  # 5 standard deviations


def test_subsampling_keeps_the_shares_it_should() -> None:
    counts = np.array([80_000, 20_000])
    shares = stream.keep_probabilities(counts, sample=0.05)
    # (sqrt(c / sT) + 1) sT / c with sT = 5000: (4 + 1) / 16 and (2 + 1) / 4.
    assert shares.tolist() == [0.3125, 0.75]
    ids = np.repeat(np.array([0, 1], dtype=np.int32), counts)
    corpus = Corpus(
        words=("a", "b"), counts=counts, ids=ids, starts=np.array([0]), digest="", raw=len(ids)
    )
    block = stream.draw_block(corpus, Word2vecSettings(), shares, (0, 0), seed=0)
    kept = np.bincount(block.ids)
    deviations = np.sqrt(counts * shares * (1 - shares))
    assert (np.abs(kept - counts * shares) < 5 * deviations).all()
    assert block.words == 100_000


def test_blocks_are_the_whole_text_and_do_not_depend_on_each_other() -> None:
    corpus, settings = lines_of([90, 160]), Word2vecSettings(sample=1.0, refresh=100)
    assert stream.blocks_per_epoch(corpus, settings) == 3
    blocks = [stream.draw_block(corpus, settings, np.ones(50), (2, i), seed=4) for i in range(3)]
    assert np.array_equal(np.concatenate([block.ids for block in blocks]), corpus.ids)
    assert len({int(block.key) for block in blocks}) == 3
    again = stream.draw_block(corpus, settings, np.ones(50), (2, 1), seed=4)
    assert np.array_equal(again.low, blocks[1].low)
    assert again.key == blocks[1].key
    other = stream.draw_block(corpus, settings, np.ones(50), (2, 1), seed=5)
    assert not np.array_equal(other.low, blocks[1].low)


def test_negatives_have_the_odds_of_counts_to_three_quarters() -> None:
    counts = np.array([5000, 700, 81, 81, 16, 1])
    odds = stream.alias_table(counts)
    stays = odds.threshold / 2**32
    found = stays + np.bincount(odds.other, weights=1 - stays, minlength=6)
    expected = counts**0.75 / (counts**0.75).sum()
    np.testing.assert_allclose(found / 6, expected, rtol=0, atol=6 / 2**32)  # rounding down
    drawn = stream.draw(odds, np.uint64(9), 0, 200_000)
    deviations = np.sqrt(expected * (1 - expected) / 200_000)
    assert (np.abs(np.bincount(drawn, minlength=6) / 200_000 - expected) < 5 * deviations).all()
    assert np.array_equal(stream.draw(odds, np.uint64(9), 500, 20), drawn[500:520])


def test_the_rate_falls_to_a_ten_thousandth() -> None:
    settings = Word2vecSettings(lr=0.4)
    assert [settings.rate(seen, 199) for seen in (0, 100, 200)] == [0.4, 0.2, 0.4 * 1e-4]


QUESTIONS = ": pairs\nA b C d\na b E f\n\n: none\nx y z w\n: More pairs\nf e b a\n"


def asked(tmp_path: Path, text: str = QUESTIONS) -> Questions:
    return load_questions(written(tmp_path / "q.txt", text), list("abcdef"))


def test_questions_are_those_whose_words_are_known(tmp_path: Path) -> None:
    questions = asked(tmp_path)
    assert questions.words.tolist() == [[0, 1, 2, 3], [0, 1, 4, 5], [5, 4, 1, 0]]
    assert questions.sections == (("pairs", 2), ("More pairs", 1))
    assert questions.of == 4


def test_the_answer_is_the_nearest_in_direction_but_for_the_three_words(tmp_path: Path) -> None:
    questions = asked(tmp_path)
    rows = np.random.default_rng(0).normal(size=(6, 4))
    rows[3] = 9 * (rows[1] / np.linalg.norm(rows[1]) - rows[0] / np.linalg.norm(rows[0]))
    rows[3] += 9 * rows[2] / np.linalg.norm(rows[2])  # far too long, but in the right direction
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = []
    for a, b, c, d in questions.words:
        scores = units @ (units[b] - units[a] + units[c])
        scores[[a, b, c]] = -np.inf
        expected.append(int(scores.argmax()) == d and scores.max() > 0)
    assert expected[0]
    assert right_answers(torch.from_numpy(rows), questions).tolist() == expected
    assert not right_answers(torch.eye(6), questions).any()  # no score is above 0
    assert not right_answers(torch.zeros(6, 4), questions).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there are no analogies at"),
        ("", "has no question"),
        (": only\n", "has no question"),
        (": pairs\na b c\n", r"q.txt:2 must have four words, .* it has 3 words"),
        ("a\n", r"q.txt:1 must have four words, .* it has 1 word$"),
        ("a b c d e\n", "q.txt:1 must have four words"),
        ("Oslo b c d\nOslo x b c\n", "none of the 2 questions .* lacks 2 words, such as oslo, x;"),
        ("Oslo b c d\n", "the one question of .* has not all four .* lacks 1 word, such as oslo;"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_analogies_that_are_none_are_refused(
    tmp_path: Path, text: bytes | str | None, message: str
) -> None:
    path = tmp_path / "q.txt"
    if text is not None:
        written(path, text)
    with pytest.raises(AssetError, match=message):
        load_questions(path, list("abcdef"))


@pytest.mark.parametrize(("width", "most"), [(None, 11_180), (100, 1_250_000)])
def test_a_vocabulary_that_does_not_fit_is_refused_with_the_largest_that_does(
    monkeypatch: Any, width: int | None, most: int
) -> None:
    monkeypatch.setattr(networks, "_free_bytes", lambda device: 1_000_000_000)
    check_memory(most, width)
    needed = 8 * (most + 1) * (most + 1 if width is None else width)
    message = f"takes {needed:,} bytes.* the largest vocabulary that fits is {most:,}"
    with pytest.raises(LimitError, match=message):
        check_memory(most + 1, width)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(LimitError, match="must be cpu, or cuda where there is one; got 't"):
        check_memory(10, 10, "tpu")
