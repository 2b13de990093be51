"""Runs of learning-rate transfer: all jobs, seed by seed, each trained once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from widthwise.errors import RunError
from widthwise.experiments.lr_transfer import (
    TrainingSettings,
    read_rows,
    run_transfer,
    train_small,
    transfer_jobs,
)
from widthwise.experiments.lr_transfer.results import load
from widthwise.mup import glu_family

SHORT = TrainingSettings(steps=2, rows=2, tokens=16, base=16)


def test_jobs_go_seed_by_seed() -> None:
    jobs = transfer_jobs((16, 32), (0.1,), 2)
    assert jobs[:2] == [("sp", 16, 0.1, 0), ("sp", 32, 0.1, 0)]
    assert [job[0] for job in jobs[2:6]] == ["sp-embedding"] * 2 + ["mup"] * 2
    assert [job[3] for job in jobs] == [0] * 6 + [1] * 6


def test_jobs_are_trained_once_and_wider_ones_count_for_more(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a line of some words, again and again\n" * 100)
    text = read_rows(tmp_path / "text.txt", tokens=16, most=4)
    jobs = [("mup", 32, 0.01, 0), ("sp", 16, 0.01, 0)]
    labels: list[str] = []
    shares: list[float] = []
    runs = run_transfer(
        text, jobs, tmp_path, training=SHORT,
        on_result=lambda label, _: labels.append(label),
        on_progress=lambda share, _: shares.append(share),
    )  # fmt: skip
    assert labels == [
        "muP, width 32, learning rate 0.01, seed 0",
        "standard, width 16, learning rate 0.01, seed 0",
    ]
    assert shares == pytest.approx([0, 0.4, 0.8, 0.8, 0.9, 1])
    family = glu_family(vocabulary=256, tokens=16)
    assert runs[0].loss == train_small(text, family, jobs[0], SHORT).loss
    assert [run for run, _ in load(tmp_path / "results.jsonl").values()] == runs
    assert run_transfer(text, jobs[::-1], tmp_path, training=SHORT) == runs[::-1]
    with pytest.raises(RunError, match="with other model, layers, config; give another --out"):
        run_transfer(text, jobs, tmp_path, training=SHORT, family=family)
    with pytest.raises(RunError, match="with other rows; give another --out"):
        run_transfer(text, jobs, tmp_path, training=replace(SHORT, rows=3))
