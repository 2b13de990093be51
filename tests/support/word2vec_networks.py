"""Blocks of words and small networks of word2vec to train on them."""

from __future__ import annotations

import numpy as np
import torch

from widthwise.experiments.word2vec import (
    Corpus,
    SkipGram,
    Word2vecSettings,
)
from widthwise.experiments.word2vec import sampling as stream
from widthwise.experiments.word2vec.steps import train_block

EXACT = 1e-11  # float64, sums of some hundred terms in another order


FEW = Word2vecSettings(window=3, negative=4, sample=1.0, epochs=1, lr=0.2, decay=0.3, refresh=400)


def block_of(corpus: Corpus, settings: Word2vecSettings, seed: int = 0) -> stream.WordBlock:
    shares = stream.keep_probabilities(corpus.counts, settings.sample)
    return stream.draw_block(corpus, settings, shares, (0, 0), seed)


def random_network(words: int, width: int, seed: int = 1) -> SkipGram:
    rng = np.random.default_rng(seed)
    return SkipGram(
        embeddings=torch.from_numpy(rng.normal(size=(words, width)) * 0.4),
        outputs=torch.from_numpy(rng.normal(size=(words, width)) * 0.4),
    )


def logits(network: SkipGram) -> torch.Tensor:
    return network.embeddings @ network.outputs.T


def trained(corpus: Corpus, network: SkipGram, settings: Word2vecSettings) -> torch.Tensor:
    block, odds = block_of(corpus, settings), stream.alias_table(corpus.counts)
    train_block(network, block, odds, settings, settings.lr)
    return logits(network)
