"""The worker of a study: a job that fails is missing, and other weights are not believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_runs import TASKS, by_place, here, run, settings_of

from widthwise.study import Study, load, worker


def test_a_piece_that_fails_everywhere_is_missing_and_tried_again(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = worker.Scorer.score

    def breaks(self: Any, network: Any, task: Any, on_share: Any) -> Any:
        if task.name == "prose" and network.criterion == "ppm":
            raise ZeroDivisionError("no luck")
        return original(self, network, task, on_share)

    with monkeypatch.context() as patch:
        patch.setattr(worker.Scorer, "score", breaks)
        found = by_place(run(tmp_path, settings_of(tiny_checkpoint)))
    lost = [record for record in found.values() if record.value is None]
    assert [(r.criterion, r.quantity, r.reason) for r in lost] == [
        ("ppm", "prose", "ZeroDivisionError: no luck")
    ] * 2
    study = Study(tmp_path, settings_of(tiny_checkpoint), engine=here)
    assert all(record.value is not None for record in study.run())
    assert len(load(tmp_path / "records.jsonl")) == len(found)


def test_a_worker_with_other_weights_is_not_believed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As on a machine of a cluster where the same path holds another checkpoint."""
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], widths=())
    study = Study(tmp_path, settings, engine=here)
    for parent in study.parents:
        parent.files.digest = "another"
    found = study.run()
    lost = [record for record in found if record.value is None]
    assert [record.reason for record in lost] == [
        "the worker has other weights, documents or versions"
    ]
