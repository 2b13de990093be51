"""Word2vec: steps are those of the published loop, and wide networks come near their limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from word2vec_networks import FEW

from widthwise.errors import LimitError
from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    TrainingJob,
    Word2vecSettings,
    train,
)


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
