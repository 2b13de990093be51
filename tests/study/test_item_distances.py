"""Every cut of a study is compared with the dense model, however the study went."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_runs import run, settings_of

from widthwise.study import load

pytestmark = pytest.mark.demo


def test_cuts_have_distances_and_what_is_written_has_none(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    records = run(tmp_path, settings_of(tiny_checkpoint))
    for (criterion, _, quantity), record in records.items():
        has_any = criterion is not None and quantity in ("piqa", "prose")
        assert (record.distances is not None) == has_any
        if record.distances is not None:
            found = record.distances
            assert len(found.tokens) == record.n == 4
            assert min(found.divergence) > 0
            assert all(0 <= share <= 1 for share in (*found.agreement, *found.acceptance))
    assert {r.cell: r for r in load(tmp_path / "records.jsonl")} == {
        record.cell: record for record in records.values()
    }


def test_cuts_that_are_asked_later_are_as_far(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The dense model is asked again by a process that did not keep what it said."""
    settings = {"tasks": ("embedded:piqa", "embedded:prose")}
    whole = run(tmp_path / "whole", settings_of(tiny_checkpoint, **settings))
    run(tmp_path / "parts", settings_of(tiny_checkpoint, widths=(), **settings))
    parts = run(tmp_path / "parts", settings_of(tiny_checkpoint, **settings))
    for place, record in whole.items():
        if record.distances is not None:
            later = parts[place].distances
            assert later is not None
            assert later.agreement == record.distances.agreement
            # Neurons of the dense model stand in another order, so float32 sums differ.
            assert later.divergence == pytest.approx(record.distances.divergence, rel=1e-4)


def test_another_backend_compares_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    records = run(tmp_path, settings_of(tiny_checkpoint, tasks=("embedded:piqa",), backend="hf"))
    assert all(record.distances is None for record in records.values())
