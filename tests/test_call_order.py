"""Calls go one way as imports do: from a command down to the files, and never back up.

Three things are passed down to be called: reports of progress; the work of a run with the form of
its results, as `runs` schedules and keeps what it knows nothing of; and what a column of a table
shows of an item.
"""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
import tiny_photos
from call_climbs import climbing_calls
from command_line import piqa_at_ppm, run

from widthwise.runs import InProcess

pytestmark = pytest.mark.usefixtures("quick_ceilings")


def others(climbs: set[str]) -> set[str]:
    rooms = ("runs/", "findings/table.py")
    return {call for call in climbs if not call.startswith(rooms) or " calls cli/" in call}


def test_a_refitted_cut_is_made_without_a_call_back(tiny_checkpoint: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(random.Random(0).choices(string.ascii_letters, k=3000)))
    words = ["prune", tiny_checkpoint, "--remove", "40%", "--criterion", "activation", "--refit"]
    with climbing_calls() as climbs:
        result = run(*words, "--calibration", text, "--tokens", 2048, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert not others(climbs)


def test_a_record_is_made_and_reported_without_a_call_back(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = "widthwise.study.study.Processes"
    monkeypatch.setattr(worker, lambda make, devices: InProcess(make, "cpu"))
    words = piqa_at_ppm("study", tiny_checkpoint)
    with climbing_calls() as climbs:
        result = run(*words, "--dtype", "float32", "--device", "cpu", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert climbs, "the store takes records from json, which is such a call"
    assert not others(climbs)


def test_a_photo_is_trained_on_without_a_call_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_photos.register(monkeypatch)
    photos = tiny_photos.save_sets(tmp_path / "photos")
    monkeypatch.setattr("widthwise.runs.Processes", lambda make, devices: InProcess(make, "cpu"))
    words = ["tinynet", "search", "--data", photos, "--family", "toy", "--pixels", "8-32"]
    words += ["--nets", 2, "--budgets", "200k", "--seeds", 0, "--epochs", 1, "-o", tmp_path / "out"]
    words += ["--workers", 1]
    with climbing_calls() as climbs:
        result = run(*words)
    assert result.exit_code == 0, result.output
    assert not others(climbs)
