"""Words that stay, windows and negatives."""

from __future__ import annotations

import numpy as np

from widthwise.experiments.word2vec import (
    Corpus,
    Word2vecSettings,
)
from widthwise.experiments.word2vec import sampling as stream


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
