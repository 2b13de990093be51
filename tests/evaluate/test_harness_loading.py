"""Loading of lm-eval's tasks: silent, in units of one score, with errors that name the cause."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import datasets
import pytest
from harness_data import MUSR, write_musr, write_rows
from lm_eval.api.task import ConfigurableTask
from lm_eval.utils import env

from widthwise.errors import RunError
from widthwise.evaluate import harness_loading as loading
from widthwise.evaluate import load_tasks


def test_a_hub_out_of_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("Couldn't reach the Hub\nat all")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(RunError, match=r"task piqa cannot be had from the hub .*--data") as error:
        load_tasks(["piqa"])
    assert "\n" not in str(error.value)


def test_a_task_that_is_a_program_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match="task squadv2 only reads from the hub: run it without --data"
    ):
        load_tasks(["squadv2"], data=tmp_path)


def test_a_package_that_a_task_imports_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(config: Any, shots: int) -> Any:
        raise ModuleNotFoundError("No module named 'sacremoses'")

    monkeypatch.setattr("widthwise.evaluate.harness_loading.local_source", lambda folder: absent)
    with pytest.raises(RunError, match=r"task piqa needs a Python package .* 'sacremoses'"):
        load_tasks(["piqa"], data=tmp_path)


def test_a_group_is_one_task_and_a_tag_is_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_musr(tmp_path, (4, 4, 4))
    (group,) = load_tasks(["leaderboard_musr"], data=tmp_path, limit=6)
    assert [len(part.doc_ids) for part in group.parts] == [2, 2, 2]
    assert group.source == "6 of 12 items, stratified over 3 parts, seed 0"
    asked = [request.task_name for request in group.requests]
    assert asked == [part.name for part in group.parts for _ in range(2 * 2)]  # 2 of 2 options
    row = {"question": "?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"}
    for name in ("arc_easy", "arc_challenge"):
        write_rows(tmp_path / name / "test.json", [row])
    tagged = load_tasks(["ai2_arc"], data=tmp_path)
    assert {task.name for task in tagged} == {"arc_easy", "arc_challenge"}
    # A group whose tasks lack the metric that it aggregates cannot have one score.
    monkeypatch.setitem(loading.METRICS, "leaderboard_musr", "f1")
    assert [task.name for task in load_tasks(["leaderboard_musr"], data=tmp_path)] == [
        f"leaderboard_musr_{name}" for name in MUSR
    ]


def test_loading_is_silent_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    write_musr(tmp_path / "data", (2, 2, 2))
    before = sorted(tmp_path.rglob("*"))
    level, state = logging.getLogger("lm_eval").level, random.getstate()
    download = ConfigurableTask.download
    load_tasks(["leaderboard_musr"], data=tmp_path / "data")
    with pytest.raises(RunError):
        load_tasks(["no_such_task"], data=tmp_path / "data")
    assert capfd.readouterr() == ("", "")
    assert sorted(tmp_path.rglob("*")) == before
    assert (logging.getLogger("lm_eval").level, random.getstate()) == (level, state)
    assert ConfigurableTask.download is download
    assert "from_string" not in vars(env)


def test_an_unknown_name_is_answered_with_like_ones() -> None:
    with pytest.raises(RunError, match=r"no task, group or tag 'helaswag'.*names like it: hellas"):
        load_tasks(["helaswag"])
    with pytest.raises(RunError, match=r"names like it: .*paper"):
        load_tasks(["papr"])
