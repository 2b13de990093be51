"""A study of an older version, whose floors were counted on the items alone, is gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import study_runs
from sweep_runs import run, settings_of

from widthwise.evaluate import FLOOR_RULE
from widthwise.evaluate import early_stopping as steps
from widthwise.study import scorer

pytestmark = pytest.mark.demo


def aged(file: Path) -> int:
    """Make the records those of an older version; returns how many are scores with a floor."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    scored = [line for line in lines if "floors" in line["settings"]]
    for line in lines:
        for name in ("floor_n", "floor_error", "floor_items"):
            del line[name]
    for line in scored:
        assert line["settings"].pop("floor_rule") == FLOOR_RULE
        line |= {"floor": 0.5, "floor_kind": "always option 7"}
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return len(scored)


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [{}, {"tasks": ("embedded:piqa",), "limit": 32, "until": 0.25}],
    ids=["all items", "ended early"],
)
def test_floors_are_counted_anew_and_nothing_is_asked_again(
    changes: dict[str, Any],
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "_STEP", 16)
    settings = settings_of(tiny_checkpoint, **changes)
    before = run(tmp_path, settings)
    file = tmp_path / "records.jsonl"
    count, lines = aged(file), len(file.read_text().splitlines())

    def refuse(*_: Any) -> None:
        raise AssertionError("something was measured again")

    monkeypatch.setattr(scorer, "answer_task", refuse)
    assert run(tmp_path, settings) == before
    assert len(file.read_text().splitlines()) == lines + count
    assert run(tmp_path, settings) == before  # and once is enough
    assert len(file.read_text().splitlines()) == lines + count
    assert any(len(r.floor_items) == r.n and r.floor_n > r.n for r in before.values() if r.floor_n)


def test_a_study_counts_them_anew_as_well(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = study_runs.settings_of(tiny_checkpoint, tasks=("embedded:piqa",))
    before = study_runs.run(tmp_path, settings)
    aged(tmp_path / "records.jsonl")

    def refuse(*_: Any) -> None:
        raise AssertionError("something was measured again")

    monkeypatch.setattr(scorer, "answer_task", refuse)
    assert study_runs.run(tmp_path, settings) == before
