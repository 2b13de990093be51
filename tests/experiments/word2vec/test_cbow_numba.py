"""The compiled loop is the published one."""

from __future__ import annotations

from math import exp, log1p

import numpy as np
import pytest
import torch
from word2vec_networks import EXACT, FEW, block_of, random_network

from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    SkipGram,
    Word2vecSettings,
)
from widthwise.experiments.word2vec import sampling as stream
from widthwise.experiments.word2vec.steps import train_block


def published_loop(
    network: SkipGram,
    block: stream.WordBlock,
    odds: stream.AliasTable,
    settings: Word2vecSettings,
    rate: float,
) -> float:
    """The loop as the reference states it, word by word; the sum of losses."""
    embeddings, outputs = network.embeddings.numpy(), network.outputs.numpy()
    keep, loss = 1 - rate * settings.decay, 0.0
    for i, centre in enumerate(block.ids):
        contexts = [block.ids[j] for j in range(block.low[i], block.high[i]) if j != i]
        if not contexts:
            continue
        hidden = sum(embeddings[u] for u in contexts) / len(contexts)
        error = np.zeros_like(hidden)
        drawn = stream.draw(odds, block.key, i * settings.negative, settings.negative)
        for target, label in [(centre, 1), *((t, 0) for t in drawn if t != centre)]:
            logit = hidden @ outputs[target]
            pull = rate * (label - 1 / (1 + exp(-logit)))
            loss += log1p(exp(-logit if label else logit))
            error += pull * outputs[target]
            outputs[target] = keep * outputs[target] + pull * hidden
        for u in contexts:
            embeddings[u] = keep * embeddings[u] + error / len(contexts)
    return loss


def test_the_compiled_loop_is_the_published_one(language: tuple[Corpus, Questions]) -> None:
    corpus, _ = language
    block, odds = block_of(corpus, FEW), stream.alias_table(corpus.counts)
    ours, theirs = random_network(len(corpus.words), 7), random_network(len(corpus.words), 7)
    loss, centres = train_block(ours, block, odds, FEW, 0.2)
    expected = published_loop(theirs, block, odds, FEW, 0.2)
    torch.testing.assert_close(ours.embeddings, theirs.embeddings, rtol=0, atol=EXACT)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=0, atol=EXACT)
    assert loss == pytest.approx(expected, rel=EXACT)
    assert centres == 400  # nothing is thinned out, and no line has a single word
