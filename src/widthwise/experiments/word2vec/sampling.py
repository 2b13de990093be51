"""What is drawn: which words stay, how wide the windows are, which words are negatives.

All of it depends on the seed, the epoch and the place in the text alone, so that networks of all
widths and their limit meet the same samples, and a run that goes on needs no generator's state.
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


@dataclass(frozen=True, kw_only=True, eq=False)
class WordBlock:
    """A stretch of the text after subsampling; the centre at i has the contexts low to high but i.

    Attributes:
        ids: The words that stayed, int32 of shape (kept,).
        low: First place of a context, int32 of shape (kept,).
        high: One after the last, int32 of shape (kept,).
        key: Of the block's negatives.
        words: Of the stretch before subsampling.
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
        threshold: A word stays itself below this, of 2^32; uint64 of shape (vocabulary,).
        other: What it becomes otherwise, int32 of shape (vocabulary,).
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
    """The draws `first`, `first + 1` ... of a key; any of them can be had without the others.

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
        place = ((z >> np.uint64(32)) * np.uint64(len(odds.other))) >> np.uint64(32)
    stays = (z & np.uint64(2**32 - 1)) < odds.threshold[place]
    return np.where(stays, place, odds.other[place]).astype(np.int32)


def keep_probabilities(counts: NDArray[np.int64], sample: float) -> NDArray[np.float64]:
    """How likely each word stays in the text: (sqrt(c / sT) + 1) sT / c, at most 1."""
    rare = sample * counts.sum() / counts
    return np.asarray(np.minimum(np.sqrt(rare) + rare, 1.0))


def blocks_per_epoch(corpus: Corpus, settings: Word2vecSettings) -> int:
    """Blocks of an epoch, each `refresh` words long but for the last."""
    return -(-len(corpus.ids) // settings.refresh)


def draw_block(
    corpus: Corpus,
    settings: Word2vecSettings,
    shares: NDArray[np.float64],
    place: tuple[int, int],
    seed: int,
) -> WordBlock:
    """Draw a block of an epoch: subsampling, then a window for each word that stayed.

    Args:
        corpus: The text.
        settings: How it is trained on.
        shares: `keep_probabilities` of the text.
        place: Epoch and block, from 0.
        seed: Of all draws.
    """
    begin = place[1] * settings.refresh
    ids = corpus.ids[begin : begin + settings.refresh]
    rng = np.random.default_rng([seed, *place])
    key = rng.integers(2**64, dtype=np.uint64)
    stays = np.flatnonzero(rng.random(len(ids)) < shares[ids])
    kept = np.searchsorted(corpus.starts, stays + begin, side="right")  # its line's number
    reach = rng.integers(1, settings.window + 1, size=len(stays))
    place_in = np.arange(len(stays))
    first = np.searchsorted(kept, kept)  # where its line begins among those that stayed
    first += (place_in - first) // settings.sentence * settings.sentence
    last = np.minimum(np.searchsorted(kept, kept, side="right"), first + settings.sentence)
    return WordBlock(
        ids=ids[stays],
        low=np.maximum(place_in - reach, first).astype(np.int32),
        high=np.minimum(place_in + reach + 1, last).astype(np.int32),
        key=np.uint64(key),
        words=len(ids),
    )
