"""Runs of word2vec: jobs are trained once, each beside its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_corpus

from widthwise.errors import RunError
from widthwise.experiments.word2vec import (
    TrainingJob,
    Word2vecSettings,
    load,
    load_corpus,
    load_questions,
    run_word2vec,
    train,
)

SETTINGS = Word2vecSettings(window=4, negative=5, sample=1, epochs=2, refresh=10_000)


def test_jobs_are_trained_once_and_kernels_cost_next_to_nothing(tmp_path: Path) -> None:
    text, analogies = tiny_corpus.save(tmp_path)
    corpus = load_corpus(text, vocabulary=500, min_count=1)
    questions = load_questions(analogies, corpus.words)
    jobs = [
        TrainingJob(network=network, width=width, settings=SETTINGS)
        for network, width in (("finite", 8), ("ntk", None))
    ]
    labels: list[str] = []
    shares: list[tuple[float, str]] = []
    results = run_word2vec(
        corpus, questions, jobs, tmp_path,
        on_result=lambda label, _: labels.append(label),
        on_progress=lambda *share: shares.append(share),
    )  # fmt: skip
    assert labels == ["width 8, seed 0", "NTK, seed 0"]
    assert results[0].score == train(corpus, questions, jobs[0]).score
    assert (tmp_path / "width-8-seed-0.safetensors").is_file()
    assert shares[-1] == (pytest.approx(108 / 109), "NTK, seed 0")
    assert all(label.endswith("words/s") for _, label in shares[1:-1])
    stored = load(tmp_path / "results.jsonl")
    assert [result for result, _ in stored.values()] == results
    assert run_word2vec(corpus, questions, jobs, tmp_path) == results
    other = [TrainingJob(network="ntk", settings=Word2vecSettings(epochs=3))]
    with pytest.raises(RunError, match=r"holds NTK, seed 0, made with other .*epochs"):
        run_word2vec(corpus, questions, other, tmp_path)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_network_that_was_lost_is_said_and_may_be_had_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text, analogies = tiny_corpus.save(tmp_path)
    corpus = load_corpus(text, vocabulary=500, min_count=1)
    questions = load_questions(analogies, corpus.words)
    jobs = [TrainingJob(network="finite", width=8, settings=SETTINGS)]
    caplog.set_level("INFO", logger="widthwise")
    (first,) = run_word2vec(corpus, questions, jobs, tmp_path)
    run_word2vec(corpus, questions, jobs, tmp_path)
    assert not caplog.messages
    network = tmp_path / "width-8-seed-0.safetensors"
    whole = network.read_bytes()
    network.unlink()
    if damage == "cut":
        network.write_bytes(whole[:-100])
    assert run_word2vec(corpus, questions, jobs, tmp_path) == [first]
    (said,) = caplog.messages
    assert f"the network of width 8, seed 0 is lost ({network} is not there or not whole)" in said
    network.unlink(missing_ok=True)
    (tmp_path / "results.jsonl").write_text("")
    (again,) = run_word2vec(corpus, questions, jobs, tmp_path)
    assert again.score == first.score
    assert len(network.read_bytes()) == len(whole)
    assert len(caplog.messages) == 1
