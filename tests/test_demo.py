"""The demo as a study: killed anywhere it goes on, and nothing is counted twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from click.testing import CliRunner

from widthwise.cli import main
from widthwise.errors import OutputError, RunError
from widthwise.study import Demo, DemoSettings, Record, load
from widthwise.study.folder import locked

QUANTITIES = 8  # parameters, bytes, prose and five tasks
CELLS = 13 * QUANTITIES + 7 * 2  # of 13 networks; speed of dense and six widths
SMALL = ["--items", "2", "--dtype", "float32"]


def numbers(records: list[Record]) -> dict[str, Any]:
    """What must not depend on interruptions: all but speeds and clocks."""
    return {
        r.cell: (r.criterion, r.asked, r.width, r.quantity, r.value, r.items)
        for r in records
        if r.quantity not in ("prefill", "decode")
    }


@pytest.mark.demo
def test_a_demo_prints_reports_and_keeps_a_checkpoint(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL])
    assert result.exit_code == 0, result.output
    records = load(out / "records.jsonl")
    assert len(records) == len({r.cell for r in records}) == CELLS
    assert {r.width for r in records} == {53, 47, 42, 37, 31, 26, 21}
    page = (out / "report.html").read_text(encoding="utf8")
    assert "<svg" in page
    assert "src=" not in page
    last = result.stdout.splitlines()[-1]
    folder = last.split('"')[1]
    assert hf.AutoModelForCausalLM.from_pretrained(folder).config.intermediate_size == 47

    before = (out / "records.jsonl").read_bytes()
    again = CliRunner().invoke(main, ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL])
    assert again.exit_code == 0
    assert (out / "records.jsonl").read_bytes() == before
    assert again.stdout == result.stdout


@pytest.mark.demo
def test_killed_demos_go_on_and_end_with_the_same_records(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    whole = Demo(tmp_path / "whole", _settings(tiny_checkpoint)).run()
    out = tmp_path / "killed"
    for records_before_kill in (3, 40, 90):
        child = subprocess.Popen(
            [sys.executable, "-m", "widthwise", "demo", tiny_checkpoint, "-o", out, *SMALL],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        file = out / "records.jsonl"
        while not file.exists() or file.read_bytes().count(b"\n") < records_before_kill:
            assert child.poll() is None, "the demo ended before it could be killed"
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with open(file, "ab") as torn:
            torn.write(b'{"cell": "half a li')
    resumed = Demo(out, _settings(tiny_checkpoint)).run()
    assert len(resumed) == CELLS
    assert numbers(resumed) == numbers(whole)


def _settings(model: Path, **changes: Any) -> DemoSettings:
    small = {"items": 2, "dtype": "float32"}
    return DemoSettings(model=str(model), **{**small, **changes})


@pytest.mark.demo
def test_the_same_items_meet_every_width(tiny_checkpoint: Path, tmp_path: Path) -> None:
    records = Demo(tmp_path / "out", _settings(tiny_checkpoint)).run()
    for quantity in ("prose", "mmlu", "hellaswag"):
        column = [r for r in records if r.quantity == quantity]
        assert len({(r.n, r.floor, len(r.items)) for r in column}) == 1


def test_a_folder_with_other_settings_is_not_mixed(tmp_path: Path) -> None:
    settings = {"model": "x", "items": 2, "dtype": "float32"}
    (tmp_path / "study.json").write_text(json.dumps(settings))
    from widthwise.study.folder import agreed_settings

    assert agreed_settings(tmp_path, {**settings, "dtype": None}) == settings
    with pytest.raises(RunError, match=r"was begun with items 2, not 3; name another folder"):
        agreed_settings(tmp_path, {**settings, "items": 3})
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(RunError, match="not the settings of a study"):
        agreed_settings(tmp_path, settings)


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match=r"holds other files \(thesis\.tex\) and no study"):
        Demo(tmp_path, DemoSettings()).run()


def test_two_runs_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OutputError, match="another process is running a study"):
        Demo(tmp_path, DemoSettings()).run()
    with pytest.raises(OutputError, match="cannot be written"):
        Demo(Path("/proc/demo"), DemoSettings()).run()
