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
