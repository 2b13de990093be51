"""The store of a study: items come before the record that says that they are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_runs import answers, run, settings_of

from widthwise.runs import RecordFormat
from widthwise.study import Record

pytestmark = pytest.mark.demo


def test_items_are_on_disk_before_their_record(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, seen = RecordFormat.append, []

    def append(self: Any, path: Path, records: list[Record]) -> None:
        for record in records:
            if record.quantity == "piqa":
                assert len(answers(tmp_path, record)) == record.n
                seen.append(record.cell)
        original(self, path, records)

    monkeypatch.setattr(RecordFormat, "append", append)
    run(tmp_path, settings_of(tiny_checkpoint, tasks=("embedded:piqa",), widths=("1x",)))
    assert len(seen) == 3


def test_answers_that_were_lost_are_said(
    tiny_checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="widthwise")
    settings = settings_of(
        tiny_checkpoint, tasks=("embedded:piqa", "embedded:prose"), widths=("1x",)
    )
    records = run(tmp_path, settings)
    assert run(tmp_path, settings) == records
    assert not [said for said in caplog.messages if "lost" in said]
    gone, cut, *_ = sorted((tmp_path / "items").iterdir())
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-10])
    assert run(tmp_path, settings) == records
    (said,) = [said for said in caplog.messages if "lost" in said]
    assert f"the answers behind 2 scores are lost ({tmp_path / 'items'}/" in said
    path = tmp_path / "records.jsonl"
    kept = [line for line in path.read_text().splitlines() if gone.stem not in line]
    path.write_text("\n".join(kept) + "\n")
    assert len(run(tmp_path, settings)) == len(records)
    assert gone.exists()
