"""A study: its cells, what may be added, what may go wrong, and that engines do not matter."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from study_runs import TASKS, numbers, run, settings_of
from sweep_runs import run as sweep
from sweep_runs import settings_of as sweep_settings_of

from widthwise.errors import OutputError, RunError, TargetError
from widthwise.io import jsonl
from widthwise.runs import Event, Finished, RunFolder
from widthwise.study import Record, Study, load, read_study

pytestmark = pytest.mark.usefixtures("quick_ceilings")


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> tuple[Path, list[Record]]:
    """An undisturbed study: its folder and its records."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    return folder, run(folder, settings_of(tiny_checkpoint))


def test_a_study_measures_what_a_sweep_does(
    whole: tuple[Path, list[Record]], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    settings = sweep_settings_of(tiny_checkpoint, tasks=TASKS, max_new_tokens=None)
    one = sweep(tmp_path, settings)
    other = {(r.criterion, r.asked, r.quantity): r for r in whole[1]}
    assert one.keys() == other.keys()
    same = ("cell", "width", "value", "standard_error", "n", "floor", "items", "unit")
    for place, record in one.items():
        for name in same:
            assert getattr(record, name) == getattr(other[place], name), (place, name)


def test_a_finished_study_does_nothing_and_says_so(
    whole: tuple[Path, list[Record]], tiny_checkpoint: Path
) -> None:
    folder, records = whole
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    told: list[Record] = []

    def refuse(make: Any) -> Any:
        raise AssertionError("an engine was started")

    study = Study(folder, settings_of(tiny_checkpoint), engine=refuse, on_record=told.append)
    assert study.run() == records
    assert not told
    assert study.resumed == "pieces done: 10 of 10, left: 0"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_models_widths_tasks_and_workloads_may_be_added(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = run(tmp_path / "out", settings_of(tiny_checkpoint, tasks=TASKS[:1], widths=("40%",)))
    other = tmp_path / "other"
    shutil.copytree(tiny_checkpoint, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-4}))
    grown_settings = settings_of(tiny_checkpoint, other, workloads=("3x2",))
    before = (tmp_path / "out" / "records.jsonl").read_text()
    grown = run(tmp_path / "out", grown_settings)
    assert (tmp_path / "out" / "records.jsonl").read_text().startswith(before)
    assert numbers(first).items() <= numbers(grown).items()
    assert {record.model for record in grown} == {"tiny", "other"}
    # 2 models x (5 networks x (2 counts + 2 tasks) + 3 networks x 7 costs)
    assert len(grown) == 2 * (5 * 4 + 3 * 7)
    assert read_study(tmp_path / "out").pending == 0


def test_models_that_records_could_not_tell_apart_are_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    for other, words in (("elsewhere/tiny", "both called tiny"), ("copy", "the same weights")):
        shutil.copytree(tiny_checkpoint, tmp_path / other)
        with pytest.raises(RunError, match=f"{tmp_path / other} are {words}"):
            run(tmp_path / "out", settings_of(tiny_checkpoint, tmp_path / other))
    assert not (tmp_path / "out" / "records.jsonl").exists()


def test_what_fixes_numbers_may_not_change_in_a_folder(
    whole: tuple[Path, list[Record]], tiny_checkpoint: Path
) -> None:
    folder, _ = whole
    before = (folder / "study.json").read_bytes()
    for changes, words in (
        ({"limit": 5}, "limit 4, not 5"),
        ({"seeds": (1,)}, r"seeds \[0\], not \[1\]"),
        ({"dtype": "bfloat16"}, "dtype 'float32', not 'bfloat16'"),
    ):
        with pytest.raises(RunError, match=f"started with {words}; name another folder"):
            run(folder, settings_of(tiny_checkpoint, **changes))
    with (
        RunFolder(folder).held(),
        pytest.raises(OutputError, match="another process is running a study"),
    ):
        run(folder, settings_of(tiny_checkpoint))
    assert (folder / "study.json").read_bytes() == before


def test_a_full_disk_is_said_and_what_was_written_stays(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = jsonl.os.fsync, []

    def fills(file: int) -> None:
        written.append(file)
        if len(written) > 9:
            raise OSError(28, "No space left on device")
        original(file)

    with monkeypatch.context() as patch:
        patch.setattr(jsonl.os, "fsync", fills)
        with pytest.raises(OutputError, match=r"was not written: .*No space left on device"):
            run(tmp_path / "out", settings_of(tiny_checkpoint))
    kept = load(tmp_path / "out" / "records.jsonl")
    assert kept
    whole = run(tmp_path / "whole", settings_of(tiny_checkpoint))
    again = run(tmp_path / "out", settings_of(tiny_checkpoint))
    assert numbers(again) == numbers(whole)
    assert numbers(kept).items() <= numbers(again).items()


def test_events_come_after_their_records_are_on_disk(tiny_checkpoint: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Finished):
            stored = {record.cell for record in load(tmp_path / "records.jsonl")}
            assert event.job.key in stored
            seen.append(len(stored))

    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], widths=("40%",))
    run(tmp_path, settings, on_event=on_event)
    assert seen == [7, 8, 9]  # six counts before


def test_a_device_that_is_not_there_leaves_the_folder_as_it_was(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], device="cuda:9")
    with pytest.raises(RunError, match="device cuda:9 cannot be used here"):
        Study(tmp_path / "out", settings).run()
    assert not (tmp_path / "out" / "study.json").exists()
    assert len(run(tmp_path / "out", settings_of(tiny_checkpoint, tasks=TASKS[:1]))) == 15


def test_a_width_out_of_range_names_its_model(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"tiny: width must be in \[1, 52\]"):
        run(tmp_path, settings_of(tiny_checkpoint, widths=("9x",)))


@pytest.mark.parametrize("begun", ["[]", '"x"'])
def test_settings_that_are_none_are_said(begun: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(begun)
    with pytest.raises(RunError, match=r"study\.json"):
        run(tmp_path, settings_of(tiny_checkpoint))


def test_a_pipe_is_no_study(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """It would be waited for, with the folder held."""
    os.mkfifo(tmp_path / "study.json")
    with pytest.raises(RunError, match="not the settings of a study"):
        run(tmp_path, settings_of(tiny_checkpoint))
    (tmp_path / "study.json").unlink()
    os.mkfifo(tmp_path / "records.jsonl")
    with pytest.raises(RunError, match="is no file of JSON lines"):
        run(tmp_path, settings_of(tiny_checkpoint))


def test_a_folder_of_another_command_is_said(tiny_checkpoint: Path, tmp_path: Path) -> None:
    sweep(tmp_path, sweep_settings_of(tiny_checkpoint, tasks=TASKS[:1]))
    with pytest.raises(RunError, match=r"started without .*seeds.* by another command"):
        run(tmp_path, settings_of(tiny_checkpoint))
