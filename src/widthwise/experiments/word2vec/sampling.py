"""Samples of a text: words that stay, widths of windows, and negatives.

They depend on the seed, the epoch and the position in the text alone, so that networks of all
widths and their limit see the same samples, and a resumed run needs no state of a generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .corpus import Corpus
from .settings import Word2vecSettings

# Constants of splitmix64 (Steele, Lea and Flood 2014).
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
_POWER = 0.75  # of counts, for the odds of negatives
_SENTENCE_WORDS = 1000  # longer sentences are cut after subsampling, as in the published code


@dataclass(frozen=True, kw_only=True, eq=False)
class WordBlock:
    """A stretch of the text after subsampling; the centre at i has the contexts low to high but i.

    Attributes:
        ids: The words that stayed, int32 of shape (kept,).
        low: Index of the first context, int32 of shape (kept,).
        high: Index after the last context, int32 of shape (kept,).
        key: Key of the block's negatives.
        words: Words of the stretch before subsampling.
    """

    ids: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    key: np.uint64
    words: int


@dataclass(frozen=True, kw_only=True, eq=False)
class AliasTable:
    """Words drawn with odds of their counts to the power 3/4, by Walker's alias method.

    Attributes:
        threshold: Bound, of 2^32, below which a word stays itself; uint64 of shape (vocabulary,).
        other: Word that it becomes otherwise, int32 of shape (vocabulary,).
    """

    threshold: NDArray[np.uint64]
    other: NDArray[np.int32]


def alias_table(counts: NDArray[np.int64]) -> AliasTable:
    """The table for words of these counts."""
    share = counts.astype(np.float64) ** _POWER
    share *= len(share) / share.sum()
    other = np.arange(len(share), dtype=np.int32)
    small = [i for i in range(len(share)) if share[i] < 1]
    large = [i for i in range(len(share)) if share[i] >= 1]
    threshold = np.full(len(share), 2**32, dtype=np.uint64)
    while small and large:
        low, high = small.pop(), large[-1]
        threshold[low], other[low] = int(share[low] * 2**32), high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    return AliasTable(threshold=threshold, other=other)


def draw(odds: AliasTable, key: np.uint64, first: int, number: int) -> NDArray[np.int32]:
    """The draws `first`, `first + 1` ... of a key; each can be computed without the others.

    Example:
        >>> odds = alias_table(np.array([16, 1]))
        >>> float(draw(odds, np.uint64(7), 0, 9000).mean().round(2))  # of 8 to 1
        0.11
    """
    with np.errstate(over="ignore"):
        z = key + GOLDEN * np.arange(first, first + number, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * FIRST
        z = (z ^ (z >> np.uint64(27))) * SECOND
        z ^= z >> np.uint64(31)
        index = ((z >> np.uint64(32)) * np.uint64(len(odds.other))) >> np.uint64(32)
    stays = (z & np.uint64(2**32 - 1)) < odds.threshold[index]
    return np.where(stays, index, odds.other[index]).astype(np.int32)


def keep_probabilities(counts: NDArray[np.int64], sample: float) -> NDArray[np.float64]:
    """Probability that a word stays in the text: (sqrt(c / sT) + 1) sT / c, at most 1."""
    rare = sample * counts.sum() / counts
    return np.asarray(np.minimum(np.sqrt(rare) + rare, 1.0))


def blocks_per_epoch(corpus: Corpus, settings: Word2vecSettings) -> int:
    """Blocks of an epoch, each `refresh` words long but for the last."""
    return -(-len(corpus.ids) // settings.refresh)


def draw_block(
    corpus: Corpus,
    settings: Word2vecSettings,
    shares: NDArray[np.float64],
    epoch_and_block: tuple[int, int],
    seed: int,
) -> WordBlock:
    """Draw a block of an epoch: subsampling, then a window for each word that stayed.

    Args:
        shares: `keep_probabilities` of the text.
        epoch_and_block: Epoch and block, from 0.
    """
    begin = epoch_and_block[1] * settings.refresh
    ids = corpus.ids[begin : begin + settings.refresh]
    rng = np.random.default_rng([seed, *epoch_and_block])
    key = rng.integers(2**64, dtype=np.uint64)
    stays = np.flatnonzero(rng.random(len(ids)) < shares[ids])
    line = np.searchsorted(corpus.starts, stays + begin, side="right")
    reach = rng.integers(1, settings.window + 1, size=len(stays))
    index = np.arange(len(stays))
    first = np.searchsorted(line, line)  # first word of the same line
    first += (index - first) // _SENTENCE_WORDS * _SENTENCE_WORDS
    last = np.minimum(np.searchsorted(line, line, side="right"), first + _SENTENCE_WORDS)
    return WordBlock(
        ids=ids[stays],
        low=np.maximum(index - reach, first).astype(np.int32),
        high=np.minimum(index + reach + 1, last).astype(np.int32),
        key=np.uint64(key),
        words=len(ids),
    )
