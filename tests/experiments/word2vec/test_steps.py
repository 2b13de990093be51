"""Steps in batches, by threads, without numba, and on a GPU."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from word2vec_networks import EXACT, FEW, block_of, random_network, trained

from widthwise.errors import LimitError
from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    TrainingJob,
    Word2vecSettings,
    start,
    train,
)
from widthwise.experiments.word2vec import sampling as stream
from widthwise.experiments.word2vec.steps import _Batch, train_block, train_step


def random_batch(words: int, centres: int, negatives: int) -> _Batch:
    rng = np.random.default_rng(3)
    is_context = rng.random((centres, centres + 4)) < 0.4
    is_context[2] = False  # a centre without contexts
    drawn = (rng.integers(words, size=size) for size in (centres, centres + 4, negatives))
    ids = [torch.from_numpy(part) for part in drawn]
    return _Batch(
        centres=ids[0],
        contexts=ids[1],
        is_context=torch.from_numpy(is_context.astype(np.float64)),
        negatives=ids[2],
    )


def test_a_minibatch_steps_down_the_gradient_of_the_summed_loss() -> None:
    """Also with words that come twice; each visit of a row decays it once."""
    batch, settings = random_batch(9, 6, 8), replace(FEW, batch=6)
    network, leaves = random_network(9, 5), random_network(9, 5)
    embeddings, outputs = (part.requires_grad_() for part in (leaves.embeddings, leaves.outputs))
    loss = decay = torch.zeros((), dtype=torch.float64)
    for centre, row in zip(batch.centres, batch.is_context, strict=True):
        contexts = batch.contexts[row > 0]
        if not len(contexts):
            continue
        hidden = embeddings[contexts].mean(dim=0)
        loss = loss - torch.nn.functional.logsigmoid(hidden @ outputs[centre])
        decay = decay + outputs[centre].square().sum() + embeddings[contexts].square().sum()
        for drawn in batch.negatives[batch.negatives != centre]:
            weight = settings.negative / len(batch.negatives)
            loss = loss - weight * torch.nn.functional.logsigmoid(-hidden @ outputs[drawn])
            decay = decay + weight * outputs[drawn].square().sum()
    moves = torch.autograd.grad(loss + settings.decay / 2 * decay, (embeddings, outputs))
    found = train_step(network, batch, settings, 0.2)
    assert float(found) == pytest.approx(float(loss.detach()), rel=EXACT)
    expected = (embeddings - 0.2 * moves[0], outputs - 0.2 * moves[1])
    torch.testing.assert_close(network.embeddings, expected[0].detach(), rtol=0, atol=EXACT)
    torch.testing.assert_close(network.outputs, expected[1].detach(), rtol=0, atol=EXACT)


def test_minibatches_meet_the_contexts_of_the_published_loop(
    language: tuple[Corpus, Questions],
) -> None:
    """Step by step, from the weights before it; the last step has fewer centres."""
    corpus, _ = language
    settings = replace(FEW, decay=0.0, batch=16)
    block, odds = block_of(corpus, settings), stream.alias_table(corpus.counts)
    network = random_network(len(corpus.words), 5)
    expected = random_network(len(corpus.words), 5)
    steps = -(-len(block.ids) // 16)
    drawn = stream.draw(odds, block.key, 0, steps * settings.shared).reshape(steps, -1)
    for step in range(steps):
        old = [part.numpy().copy() for part in (expected.embeddings, expected.outputs)]
        for i in range(step * 16, min(len(block.ids), step * 16 + 16)):
            contexts = [block.ids[j] for j in range(block.low[i], block.high[i]) if j != i]
            hidden = old[0][contexts].mean(axis=0)
            share = settings.negative / settings.shared
            negatives = [(t, 0, share) for t in drawn[step] if t != block.ids[i]]
            for target, label, weight in [(block.ids[i], 1, 1.0), *negatives]:
                pull = 0.2 * weight * (label - 1 / (1 + exp(-hidden @ old[1][target])))
                expected.outputs.numpy()[target] += pull * hidden
                for u in contexts:
                    expected.embeddings.numpy()[u] += pull * old[1][target] / len(contexts)
    train_block(network, block, odds, settings, 0.2)
    torch.testing.assert_close(network.embeddings, expected.embeddings, rtol=0, atol=EXACT)
    torch.testing.assert_close(network.outputs, expected.outputs, rtol=0, atol=EXACT)


def test_racing_threads_learn_as_well(language: tuple[Corpus, Questions]) -> None:
    settings = Word2vecSettings(epochs=4, sample=1.0, window=4, refresh=10_000, threads=2)
    result = train(*language, TrainingJob(network="limit", settings=settings))
    assert result.score is not None
    assert result.score.accuracy > 0.5


def test_without_numba_the_message_says_what_to_do(
    language: tuple[Corpus, Questions], monkeypatch: Any
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "widthwise.experiments.word2vec.cbow_numba", None)
    with pytest.raises(LimitError, match="pip install 'widthwise\\[word2vec\\]', or give a larger"):
        train(*language, TrainingJob(network="finite", width=8, settings=FEW))


@pytest.mark.gpu
def test_cuda_trains_as_the_cpu_does(language: tuple[Corpus, Questions]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    settings = replace(FEW, batch=64, refresh=2000)
    words = len(language[0].words)
    here = trained(language[0], start(words, 32), settings)
    there = trained(language[0], start(words, 32, device="cuda"), settings).cpu()
    # Float32 sums of 64 terms in another order, over 30 steps.
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)
