"""The folder of a run: its settings stay, one process holds it, and a new one may go again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from widthwise.errors import RunError
from widthwise.runs import RunFolder


def test_a_new_folder_goes_again_where_nothing_was_written(tmp_path: Path) -> None:
    """What is refused, or interrupted, before a line is written leaves what was there."""
    there = tmp_path / "there"
    there.mkdir()
    for folder in (tmp_path / "new" / "inner", there):
        with pytest.raises(KeyboardInterrupt), RunFolder(folder).held():
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    with RunFolder(tmp_path / "used").held():
        (tmp_path / "used" / "kept.txt").write_text("a line")
    assert (tmp_path / "used" / "kept.txt").exists()


def test_a_new_folder_goes_again_where_a_run_failed_before_its_first_record(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "inner"

    def fail(*names: str) -> None:
        with RunFolder(path).held():
            for name in names:
                (path / name).write_text("{}")
            raise RunError("no")

    with pytest.raises(RunError, match="no"):
        fail("study.json")
    assert not list(tmp_path.iterdir())
    with pytest.raises(RunError, match="no"):
        fail("study.json", "records.jsonl")
    assert (path / "study.json").exists()


def test_other_weights_are_another_study(tmp_path: Path) -> None:
    begun = {"widthwise": "0", "weights": "abc", "device": "cpu"}
    (tmp_path / "study.json").write_text(json.dumps(begun))
    assert RunFolder(tmp_path).agree({**begun, "device": None}) == begun
    with pytest.raises(RunError, match="started with weights 'abc', not 'def'"):
        RunFolder(tmp_path).agree({**begun, "weights": "def"})


def test_a_folder_with_other_settings_is_not_mixed(tmp_path: Path) -> None:
    settings = {"model": "x", "items": 2, "dtype": "float32"}
    (tmp_path / "study.json").write_text(json.dumps(settings))
    assert RunFolder(tmp_path).agree({**settings, "dtype": None}) == settings
    with pytest.raises(RunError, match=r"was started with items 2, not 3; name another folder"):
        RunFolder(tmp_path).agree({**settings, "items": 3})
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RunError, match="not the settings of a study"):
        RunFolder(tmp_path).agree(settings)


def test_damaged_settings_may_go_where_that_is_advised(tmp_path: Path) -> None:
    settings = {"dtype": "float32"}
    for records in ("records.jsonl", "trials.jsonl"):
        path = tmp_path / records.partition(".")[0]
        folder = RunFolder(path, records=records)
        path.mkdir()
        (path / records).touch()
        (path / "report.html").touch()
        (path / "study.json").write_text("{")
        with folder.held(), pytest.raises(RunError, match="remove this file to continue"):
            folder.agree(settings)
        (path / "study.json").unlink()
        with folder.held():
            assert folder.agree(settings) == settings
        (path / records).unlink()
        (path / "study.json").write_text("{")
        with folder.held(), pytest.raises(RunError, match="name another folder with -o"):
            folder.agree(settings)


def test_the_settings_of_another_command_are_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"trials": True}))
    with pytest.raises(RunError, match="it is of another command; name another folder"):
        RunFolder(tmp_path).agree({"dtype": None})
    (tmp_path / "trials.jsonl").touch()
    with pytest.raises(RunError, match="holds a search, and is not a folder of a study"):
        RunFolder(tmp_path).held().__enter__()
