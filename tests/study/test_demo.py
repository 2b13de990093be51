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

from widthwise import Plan
from widthwise.cli import main
from widthwise.errors import OutputError, RunError
from widthwise.runs import RunFolder
from widthwise.study import Demo, DemoSettings, Record, demo, load, read_study

QUANTITIES = 8  # parameters, bytes, prose and five tasks
CELLS = 19 * QUANTITIES + 7 * 2  # dense and six widths by two criteria and chance; seven speeds
SMALL = ["--items", "2", "--dtype", "float32"]


def numbers(records: list[Record]) -> dict[str, Any]:
    """What must not depend on interruptions: all but speeds and clocks."""
    return {
        r.cell: (r.criterion, r.asked, r.width, r.quantity, r.value, r.items)
        for r in records
        if r.quantity not in ("prefill", "decode")
    }


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> list[Record]:
    """The records of an undisturbed demo, with the tokens of the command line."""
    folder = tmp_path_factory.mktemp("whole")
    return Demo(folder, _settings(tiny_checkpoint, tokens=DemoSettings.tokens)).run()


@pytest.mark.demo
def test_a_demo_prints_reports_and_keeps_a_checkpoint(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    runner = CliRunner()
    result = runner.invoke(main, ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL])
    assert result.exit_code == 0, result.output
    records = load(out / "records.jsonl")
    assert len(records) == len({r.cell for r in records}) == CELLS
    assert {r.width for r in records} == {53, 47, 42, 37, 31, 26, 21}
    assert {r.criterion for r in records} == {None, "ppm", "activation+refit", "random"}
    assert read_study(out).pending == 0
    page = (out / "report.html").read_text(encoding="utf8")
    assert "<svg" in page
    assert all(name in page for name in ("▶</span> activation+refit", "●</span> ppm"))
    assert "src=" not in page
    folder = out / "tiny-1.47x-refitted"
    assert f"cut by activation+refit: {folder}; the README.md in it says" in result.stdout
    assert hf.AutoModelForCausalLM.from_pretrained(folder).config.intermediate_size == 47
    stated = json.loads(runner.invoke(main, ["inspect", str(folder)]).stdout)["refit"]
    assert (stated["criterion"], stated["verified"]) == ("activation", True)
    assert str(Plan.load(folder / "widthwise_plan.json")).startswith(f"{tiny_checkpoint}: llama")

    before = (out / "records.jsonl").read_bytes()
    again = CliRunner().invoke(main, ["demo", str(tiny_checkpoint), "-o", str(out), *SMALL])
    assert again.exit_code == 0
    assert (out / "records.jsonl").read_bytes() == before
    assert again.stdout == result.stdout


@pytest.mark.demo
def test_killed_demos_go_on_and_end_with_the_same_records(
    whole: list[Record], tiny_checkpoint: Path, tmp_path: Path
) -> None:
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
    resumed = Demo(out, _settings(tiny_checkpoint, tokens=DemoSettings.tokens)).run()
    assert len(resumed) == CELLS
    assert numbers(resumed) == numbers(whole)


def _settings(model: Path, **changes: Any) -> DemoSettings:
    small = {"items": 2, "tokens": 1024, "dtype": "float32"}
    return DemoSettings(model=str(model), **{**small, **changes})


@pytest.mark.demo
def test_the_same_items_meet_every_width(whole: list[Record]) -> None:
    for quantity in ("prose", "mmlu", "hellaswag"):
        column = [r for r in whole if r.quantity == quantity]
        assert len({(r.n, r.floor, len(r.items)) for r in column}) == 1


@pytest.mark.demo
def test_a_folder_of_a_demo_without_calibration_is_gone_on_with(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "TASKS", ("prose",))
    with monkeypatch.context() as earlier:
        earlier.setattr(demo, "CRITERIA", ("ppm",))
        first = Demo(tmp_path, _settings(tiny_checkpoint)).run()
        assert (
            not {"tokens", "calibration"} & json.loads((tmp_path / "study.json").read_text()).keys()
        )
    found = Demo(tmp_path, _settings(tiny_checkpoint)).run()
    assert numbers(found).items() > numbers(first).items()
    assert {r.criterion for r in found} - {r.criterion for r in first} == {"activation+refit"}
    with pytest.raises(RunError, match="started with limit 2, not 3"):
        Demo(tmp_path, _settings(tiny_checkpoint, items=3)).run()


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(
        RunError, match=r"holds other files \(thesis\.tex\), and is not a folder of a study"
    ):
        Demo(tmp_path, DemoSettings()).run()


def test_two_runs_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).held(),
        pytest.raises(OutputError, match="another process is running a study"),
    ):
        Demo(tmp_path, DemoSettings()).run()
    with pytest.raises(OutputError, match="cannot be written"):
        Demo(Path("/proc/demo"), DemoSettings()).run()
