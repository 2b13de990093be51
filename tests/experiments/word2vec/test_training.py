"""Word2vec: steps are those of the published loop, and wide networks come near their limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import exp, log1p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_corpus
import torch

from widthwise.errors import LimitError
from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    SkipGram,
    TrainingJob,
    Word2vecSettings,
    load_corpus,
    load_questions,
    minibatch,
    sequential,
    start,
    train,
)
from widthwise.experiments.word2vec import sampling as stream
from widthwise.theory import fit_rate

EXACT = 1e-11  # float64, sums of some hundred terms in another order
FEW = Word2vecSettings(window=3, negative=4, sample=1.0, epochs=1, lr=0.2, decay=0.3, refresh=400)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def language(tmp_path_factory: Any) -> tuple[Corpus, Questions]:
    paths = tiny_corpus.save(tmp_path_factory.mktemp("language"))
    corpus = load_corpus(paths[0], min_count=1)
    return corpus, load_questions(paths[1], corpus.words)


def block_of(corpus: Corpus, settings: Word2vecSettings, seed: int = 0) -> stream.WordBlock:
    shares = stream.keep_probabilities(corpus.counts, settings.sample)
    return stream.draw_block(corpus, settings, shares, (0, 0), seed)


def random_network(words: int, width: int, seed: int = 1) -> SkipGram:
    rng = np.random.default_rng(seed)
    return SkipGram(
        embeddings=torch.from_numpy(rng.normal(size=(words, width)) * 0.4),
        outputs=torch.from_numpy(rng.normal(size=(words, width)) * 0.4),
    )


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
    loss, centres = sequential.train_block(ours, block, odds, FEW, 0.2)
    expected = published_loop(theirs, block, odds, FEW, 0.2)
    torch.testing.assert_close(ours.embeddings, theirs.embeddings, rtol=0, atol=EXACT)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=0, atol=EXACT)
    assert loss == pytest.approx(expected, rel=EXACT)
    assert centres == 400  # nothing is thinned out, and no line has a single word


def random_batch(words: int, centres: int, negatives: int) -> minibatch._Batch:
    rng = np.random.default_rng(3)
    is_context = rng.random((centres, centres + 4)) < 0.4
    is_context[2] = False  # a centre without contexts
    drawn = (rng.integers(words, size=size) for size in (centres, centres + 4, negatives))
    ids = [torch.from_numpy(part) for part in drawn]
    return minibatch._Batch(
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
    found = minibatch.train_step(network, batch, settings, 0.2)
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
    minibatch.train_block(network, block, odds, settings, 0.2)
    torch.testing.assert_close(network.embeddings, expected.embeddings, rtol=0, atol=EXACT)
    torch.testing.assert_close(network.outputs, expected.outputs, rtol=0, atol=EXACT)


def logits(network: SkipGram) -> torch.Tensor:
    return network.embeddings @ network.outputs.T


def trained(corpus: Corpus, network: SkipGram, settings: Word2vecSettings) -> torch.Tensor:
    module: Any = sequential if settings.batch == 1 else minibatch
    block, odds = block_of(corpus, settings), stream.alias_table(corpus.counts)
    module.train_block(network, block, odds, settings, settings.lr)
    return logits(network)


@pytest.mark.parametrize("batch", [1, 16])
def test_any_orthonormal_start_is_the_same_limit(
    language: tuple[Corpus, Questions], batch: int
) -> None:
    corpus, _ = language
    words = len(corpus.words)
    settings = replace(FEW, batch=batch, decay=0.001, refresh=2000)
    drawn = np.linalg.qr(np.random.default_rng(2).normal(size=(words, words)))[0]
    found = []
    for embeddings in (torch.eye(words, dtype=torch.float64), torch.from_numpy(drawn)):
        network = SkipGram(embeddings=embeddings, outputs=torch.zeros_like(embeddings))
        found.append(trained(corpus, network, settings))
    assert float(found[0].abs().max()) > 1  # it was trained
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)  # 2000 steps' rounding


@pytest.mark.parametrize("batch", [1, 16])
def test_networks_come_near_the_limit_as_the_root_of_their_width(
    language: tuple[Corpus, Questions], batch: int
) -> None:
    corpus, _ = language
    settings = replace(FEW, batch=batch, decay=0.001, refresh=1500)
    words, widths = len(corpus.words), [64, 256, 1024, 4096]
    limit = trained(corpus, start(words, None), settings)
    off = [
        [
            float((trained(corpus, start(words, width, seed=seed), settings) - limit).norm())
            for seed in range(2)
        ]
        for width in widths
    ]
    # Each is the norm over 3,600 logits, and noise of the slope is some hundredths; corrections of
    # order 1/n bend it by less than 0.1 from 64 up.
    rate = fit_rate(widths, np.array(off))
    assert rate.slope.value == pytest.approx(-0.5, abs=0.1)


def test_a_finite_start_has_rows_of_length_one_on_average_and_no_outputs() -> None:
    network = start(2000, 50, seed=3)
    lengths = network.embeddings.square().sum(dim=1)
    # Of a row: variance n (E x^4 - 1/n^2) = 0.8 / n; of the mean over 2000: 5 deviations.
    assert float(lengths.mean()) == pytest.approx(1, abs=5 * (0.8 / 50 / 2000) ** 0.5)
    assert float(network.embeddings.abs().max()) <= (3 / 50) ** 0.5
    assert not network.outputs.any()


def test_learning_finds_the_analogies_and_kernels_find_none(
    language: tuple[Corpus, Questions],
) -> None:
    settings = Word2vecSettings(epochs=4, sample=1.0, window=4, refresh=10_000)
    accuracy = {}
    for name, width in [("finite", 64), ("limit", None), ("ntk", None), ("gp", None)]:
        result = train(*language, TrainingJob(network=name, width=width, settings=settings))
        assert result.score is not None
        assert (result.score.asked, result.score.of) == (380, 381)
        assert result.score.bits().sum() == result.score.right
        accuracy[name] = result.score.accuracy
        assert len(result.curve) == (4 if name in ("finite", "limit") else 0)
        assert (result.words_per_sec is None) == (name in ("ntk", "gp"))
        if result.curve:
            assert result.curve[-1][0] == result.score.accuracy
            assert result.curve[-1][1] < result.curve[0][1]  # the loss fell
    assert accuracy["ntk"] == accuracy["gp"] == 0.0
    assert accuracy["limit"] > 0.5
    assert accuracy["finite"] > 0.5


def test_racing_threads_learn_as_well(language: tuple[Corpus, Questions]) -> None:
    settings = Word2vecSettings(epochs=4, sample=1.0, window=4, refresh=10_000, threads=2)
    result = train(*language, TrainingJob(network="limit", settings=settings))
    assert result.score is not None
    assert result.score.accuracy > 0.5


@pytest.mark.parametrize("batch", [1, 16])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    language: tuple[Corpus, Questions], batch: int, tmp_path: Path, monkeypatch: Any
) -> None:
    settings = replace(FEW, epochs=2, batch=batch, refresh=9000, decay=0.001)
    job = TrainingJob(network="finite", width=12, settings=settings)
    whole = train(*language, job)
    monkeypatch.setattr("widthwise.experiments.word2vec.training._SAVE_EVERY", 0.0)
    for stop in (2, 5, 6):  # within the first epoch of 4 blocks, within the second, twice
        calls = []

        def interrupt(words: int, speed: float, calls: Any = calls, stop: int = stop) -> None:
            calls.append(words)
            if words >= min(stop // 4 * 30_000 + stop % 4 * 9000, 60_000):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(*language, job, checkpoint=tmp_path / "one.safetensors", on_block=interrupt)
        assert len(calls) <= 3
    again = train(*language, job, checkpoint=tmp_path / "one.safetensors")
    assert again.score == whole.score
    assert again.curve == whole.curve


def test_a_run_that_diverges_ends_with_a_reason(language: tuple[Corpus, Questions]) -> None:
    for batch in (1, 16):
        settings = replace(FEW, lr=1e30, decay=0.0, epochs=2, batch=batch)
        result = train(*language, TrainingJob(network="finite", width=8, settings=settings))
        assert result.score is None
        assert "diverged: the loss in epoch 1 is not finite; take a" in str(result.reason)


def test_a_checkpoint_is_refused_by_another_run(
    language: tuple[Corpus, Questions], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    path = tmp_path / "one.safetensors"
    job = TrainingJob(network="finite", width=8, settings=FEW)
    train(*language, job, checkpoint=path)
    held = load_file(path)
    assert held["embeddings"].shape == held["outputs"].shape == (len(language[0].words), 8)
    other = replace(job, settings=replace(FEW, lr=0.1))
    with pytest.raises(RuntimeError, match="was begun with other lr; give another --out"):
        train(*language, other, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RuntimeError, match=r"cannot be read .* move it away to begin anew"):
        train(*language, job, checkpoint=path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    language: tuple[Corpus, Questions], tmp_path: Path, monkeypatch: Any
) -> None:
    import os

    path = tmp_path / "one.safetensors"
    job = TrainingJob(network="finite", width=8, settings=replace(FEW, epochs=2, refresh=30_000))

    def stop(words: int, speed: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*language, job, checkpoint=path, on_block=stop)
    old = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RuntimeError, match=r"was not written: .*No space left"):
        train(*language, job, checkpoint=path)
    assert path.read_bytes() == old
    assert [found.name for found in tmp_path.iterdir()] == ["one.safetensors"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, "window must be from 1 to 100; got 0"),
        ({"epochs": 0}, "epochs must be from 1"),
        ({"lr": float("nan")}, "lr must be a number above 0; got nan"),
        ({"sample": 0.0}, "sample must be a number above 0; got 0"),
        ({"decay": -1.0}, "decay must be at least 0"),
        ({"decay": 30.0}, "less than 1 / lr; got 30"),
        ({"threads": 2, "batch": 8}, "threads above 1 are for batches of 1"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        Word2vecSettings(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "rnn"}, "must be one of finite, limit, ntk, gp; got 'rnn'"),
        ({"network": "finite"}, "a finite network has a width"),
        ({"network": "limit", "width": 3}, "no other has one; got limit, 3"),
        ({"network": "finite", "width": 0}, "must be at least 1; got 0"),
        ({"network": "limit", "seed": -1}, "a seed must be at least 0"),
        ({"network": "limit", "device": "cuda"}, "give a larger --batch for cuda"),
    ],
)
def test_bad_jobs_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        TrainingJob(**change)


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
