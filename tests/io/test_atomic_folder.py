"""A result on disk is whole or absent: killed at every step, full disk, read-only, two at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from widthwise import make_plan, prune_checkpoint
from widthwise.errors import OutputError
from widthwise.io import check_overwrite, new_folder, new_once


@pytest.mark.long
@pytest.mark.parametrize("mode", ["fresh", "replace"])
def test_killed_at_any_step_the_result_is_whole_or_absent(
    mode: str, saved: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = Path(__file__).parents[1] / "support" / "kill_points.py"
    run = subprocess.run(
        [sys.executable, script, saved, place, mode], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 50  # 30 tensors, their files, the companions, the renames


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_an_existing_result_is_kept_without_force(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(saved, width=9, criterion="ppm")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("precious")
    with pytest.raises(OutputError, match="already exists; pass --force to replace it"):
        prune_checkpoint(saved, out, plan)
    with pytest.raises(OutputError, match="holds other files and no checkpoint"):
        prune_checkpoint(saved, out, plan, force=True)
    assert (out / "mine").read_text() == "precious"
    (out / "config.json").write_text("{}")
    prune_checkpoint(saved, out, plan, force=True)
    assert "mine" not in names(out)
    assert names(tmp_path) == ["out", "parent"]


def test_a_file_is_never_replaced_by_a_folder(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is not a folder"):
        prune_checkpoint(
            saved, tmp_path / "out", make_plan(saved, width=9, criterion="ppm"), force=True
        )
    assert (tmp_path / "out").read_text() == "a file"


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert names(tmp_path) == []


def test_a_full_disk_is_told_before_and_while_writing(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(saved, width=9, criterion="ppm")
    monkeypatch.setattr("widthwise.cut.checkpoint.reader.free_disk_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"the disk is full: [\d,]+ bytes are needed, 1,000"):
        prune_checkpoint(saved, tmp_path / "out", plan)
    assert names(tmp_path) == ["parent"]
    monkeypatch.undo()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("widthwise.cut.checkpoint.writer.copy_companions", full)
    with pytest.raises(OutputError, match="No space left on device"):
        prune_checkpoint(saved, tmp_path / "out", plan)
    assert names(tmp_path) == ["parent"]


def test_a_place_that_cannot_be_written_is_named(saved: Path, tmp_path: Path) -> None:
    plan = make_plan(saved, width=9, criterion="ppm")
    with pytest.raises(OutputError, match=r"/proc/out cannot be written"):
        prune_checkpoint(saved, "/proc/out", plan)  # read-only for root as well
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.out cannot be written: .*File exists"):
        prune_checkpoint(saved, tmp_path / "file" / "out", plan)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "sealed").mkdir(mode=0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        prune_checkpoint(
            saved, tmp_path / "sealed" / "out", make_plan(saved, width=9, criterion="ppm")
        )


def test_a_folder_that_appears_meanwhile_is_not_lost(saved: Path, tmp_path: Path) -> None:
    def appear(_: int) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "mine").write_text("precious")

    with pytest.raises(OutputError, match="already exists"):
        prune_checkpoint(
            saved, tmp_path / "out", make_plan(saved, width=9, criterion="ppm"), progress=appear
        )
    assert (tmp_path / "out" / "mine").read_text() == "precious"
    assert names(tmp_path) == ["out", "parent"]


def test_what_a_killed_replacement_set_aside_still_needs_force(saved: Path, tmp_path: Path) -> None:
    old = prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=31, criterion="ppm"))
    old.rename(tmp_path / ".out.widthwise-replaced")  # as a kill between two renames leaves it
    with pytest.raises(OutputError, match="already exists; pass --force"):
        prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=9, criterion="ppm"))
    assert names(tmp_path) == ["out", "parent"]


def test_two_writers_of_one_result_do_not_mix(saved: Path, tmp_path: Path) -> None:
    lock = os.open(tmp_path / ".out.widthwise-partial.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as a run that is still writing holds it
    with pytest.raises(OutputError, match="is being written by another process"):
        prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=9, criterion="ppm"))
    os.close(lock)
    prune_checkpoint(saved, tmp_path / "out", make_plan(saved, width=9, criterion="ppm"))
    assert names(tmp_path) == ["out", "parent"]


@pytest.mark.parametrize(
    ("force", "words"), [(False, "/ already exists"), (True, "/ holds other files")]
)
def test_the_root_of_all_folders_is_no_result(force: bool, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        check_overwrite(Path("/"), force=force)


def test_a_folder_is_made_once_and_again_where_it_is_not_whole(tmp_path: Path) -> None:
    out = tmp_path / "above" / "out"

    def made(text: str) -> bool:
        with new_once(out, lambda found: (found / "file").is_file()) as empty:
            if empty is not None:
                (empty / "file").write_text(text)
            return empty is not None

    with pytest.raises(UnicodeEncodeError):
        made("half of it, and then \ud800")
    assert list(out.parent.iterdir()) == []
    assert made("first")
    assert not made("second")
    (out / "file").unlink()
    assert made("third")
    assert (out / "file").read_text() == "third"
    assert [each.name for each in out.parent.iterdir()] == ["out"]
