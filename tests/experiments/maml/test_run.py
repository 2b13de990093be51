"""Runs of MAML: jobs are trained once, by their recipes, and told as they end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_omniglot

from widthwise.errors import LimitError, RunError
from widthwise.experiments.maml import (
    MamlJob,
    MamlResult,
    MamlSettings,
    load,
    load_omniglot,
    meta_train,
    recipe_of,
    run_maml,
)

SHORT = MamlSettings(steps=3)


def job(network: str, width: int | None = None, **changes: float) -> MamlJob:
    return MamlJob(network=network, width=width, seed=0, settings=SHORT, **changes)


def test_a_job_takes_the_recipe_of_its_network_or_another_rate() -> None:
    assert job("finite", 4).recipe == recipe_of("finite", 4)
    assert job("limit", lr=0.5).recipe == replace(recipe_of("limit", None), lr=0.5)
    with pytest.raises(LimitError, match="must be a number above 0"):
        job("limit", lr=-1.0)


def test_jobs_are_trained_once_and_shares_follow_their_steps(tmp_path: Path) -> None:
    images = load_omniglot(tiny_omniglot.save(tmp_path / "tiny.npz"))
    jobs = [job("finite", 4), replace(job("limit"), settings=MamlSettings(steps=1))]
    told: list[tuple[str, MamlResult]] = []
    shares: list[float] = []
    results = run_maml(
        images, jobs, tmp_path, data="abc",
        on_result=lambda label, result: told.append((label, result)),
        on_progress=lambda share, _: shares.append(share),
    )  # fmt: skip
    assert [label for label, _ in told] == ["width 4, seed 0", "limit, seed 0"]
    assert [result for _, result in told] == results
    assert shares == [0, 0.25, 0.5, 0.75, 0.75, 1]
    assert results[0].test == meta_train(images, "finite", 4, settings=SHORT).test
    stored = load(tmp_path / "results.jsonl")
    assert stored["finite", 4, 0][0] == results[0]
    assert (stored["finite", 4, 0][1]["steps"], stored["finite", 4, 0][1]["data"]) == (3, "abc")
    told.clear()
    assert run_maml(images, jobs[::-1], tmp_path, data="abc") == results[::-1]
    assert told == []
    with pytest.raises(RunError, match="holds width 4, seed 0, made with other data; give"):
        run_maml(images, jobs, tmp_path, data="abcd")
