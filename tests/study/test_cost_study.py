"""A comparison that is interrupted, damaged or failed: nothing twice, nothing mixed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cost_runs import settings_of

from widthwise import measure
from widthwise.errors import OutputError, RunError
from widthwise.report import cost_tables
from widthwise.runs import RunFolder
from widthwise.study import CostStudy, Record, load
from widthwise.study.quantities import quantities_of

pytestmark = pytest.mark.usefixtures("quick_ceilings")


def test_a_finished_comparison_measures_nothing_again(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that was interrupted between two workloads goes on with the second."""
    done: list[str] = []
    plain: Callable[..., Any] = measure.measure_costs

    def counted(models: Any, works: Any, **how: Any) -> Any:
        if len(done) == 1 and works[0].name == "5x1x2":
            done.append("cut off")
            raise KeyboardInterrupt
        done.extend(work.name for work in works)
        return plain(models, works, **how)

    monkeypatch.setattr(measure, "measure_costs", counted)
    settings = settings_of(tiny_checkpoint, widths=())
    with pytest.raises(KeyboardInterrupt):
        CostStudy(tmp_path / "out", settings).run()
    first = load(tmp_path / "out" / "records.jsonl")
    assert len(first) == len(quantities_of(settings))
    seen: list[Record] = []
    records = CostStudy(tmp_path / "out", settings, on_record=seen.append).run()
    assert records[: len(first)] == first
    assert seen == records
    assert CostStudy(tmp_path / "out", settings).run() == records
    assert done == ["3x4x1", "cut off", "5x1x2"]


def test_a_workload_that_failed_is_timed_again_by_the_next_run(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is asked not to be; one of which some quantity could be had is done."""
    plain: Callable[..., Any] = measure.measure_costs
    timed: list[str] = []

    def breaks(models: Any, works: Any, **how: Any) -> Any:
        timed.append(works[0].name)
        costs = plain(models, works, **how)
        if works[0].name == "5x1x2":
            return [replace(cost, rounds=(), reason="no luck") for cost in costs]
        return costs

    settings = settings_of(tiny_checkpoint, widths=())
    with monkeypatch.context() as patch:
        patch.setattr(measure, "measure_costs", breaks)
        broken = CostStudy(tmp_path, settings).run()
        assert timed == ["3x4x1", "5x1x2"]
        assert CostStudy(tmp_path, settings).run(retry_failed=False) == broken
        assert timed == ["3x4x1", "5x1x2"]
    failed = [record for record in broken if record.quantity.startswith("5x1x2")]
    assert {(record.value, record.reason) for record in failed} == {(None, "no luck")}
    mended = CostStudy(tmp_path, settings).run()
    assert [record.cell for record in mended] == [record.cell for record in broken]
    assert mended[: -len(failed)] == broken[: -len(failed)]
    assert all(r.value is not None for r in mended if r.quantity == "5x1x2 ttft")


@pytest.mark.parametrize("kept", [1, 6, 7, 8, 13])
def test_a_workload_cut_short_is_measured_again(
    kept: int, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """As a full disk or a kill may leave it: some of its lines, and half of the next."""
    settings = settings_of(tiny_checkpoint, widths=("40%",))
    whole = CostStudy(tmp_path / "whole", settings).run()
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "whole" / "study.json", tmp_path / "cut")
    lines = (tmp_path / "whole" / "records.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut" / "records.jsonl").write_text("".join(lines[:kept]) + lines[kept][:40])
    records = CostStudy(tmp_path / "cut", settings).run()
    assert [r.cell for r in records] == [r.cell for r in whole]
    assert len(cost_tables(records)) == 2
    assert CostStudy(tmp_path / "cut", settings).run() == records


def test_other_threads_are_another_comparison(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings, threads = settings_of(tiny_checkpoint, widths=()), torch.get_num_threads()
    CostStudy(tmp_path / "out", settings).run()
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(RunError, match=f"started with threads {threads}, not {threads + 1}"):
            CostStudy(tmp_path / "out", settings).run()
    finally:
        torch.set_num_threads(threads)


def test_lost_settings_are_written_anew(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The records are still those of these settings, and no folder of somebody else's."""
    out, settings = tmp_path / "out", settings_of(tiny_checkpoint, widths=())
    records = CostStudy(out, settings).run()
    (out / "study.json").unlink()
    assert CostStudy(out, settings).run() == records
    (out / "study.json").unlink()
    others = settings_of(tiny_checkpoint, widths=(), seed=1)
    assert not {r.cell for r in CostStudy(out, others).run()} & {r.cell for r in records}


def test_other_settings_or_another_process_are_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny_checkpoint, widths=())
    CostStudy(tmp_path / "out", settings).run()
    with pytest.raises(RunError, match="was started with rounds 5, not 6"):
        CostStudy(tmp_path / "out", settings_of(tiny_checkpoint, widths=(), rounds=6)).run()
    with RunFolder(tmp_path / "out").held(), pytest.raises(OutputError, match="another process"):
        CostStudy(tmp_path / "out", settings).run()
