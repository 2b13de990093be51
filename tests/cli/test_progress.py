"""A study on the terminal: its plan, its lines and its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import piqa_at_ppm, run
from report_records import DENSE, record, score

from widthwise.cli.progress import _Display, print_study
from widthwise.runs import Job, Retrying

pytestmark = pytest.mark.usefixtures("quick_ceilings")


@pytest.mark.demo
def test_a_dry_run_tells_and_writes_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = piqa_at_ppm("study", tiny_checkpoint)
    words += ["--measure", "3x2", "--dtype", "float32", "--device", "cpu", "-o", tmp_path / "out"]
    result = run(*words, "--dry-run")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out").exists()
    assert "tiny, random 1.4x: piqa" in result.stdout
    assert "pieces to do: 4; cells to measure: 17; nothing was measured" in result.stdout
    assert "Weights in memory at once:" in result.stdout


class Lines:
    """A bar of which only the lines above it are kept."""

    def __init__(self) -> None:
        self.printed: list[str] = []

    def print(self, text: str) -> None:
        self.printed.append(text)


def display() -> tuple[_Display, list[str]]:
    bar: Any = Lines()
    return _Display(bar), bar.printed


def test_only_numbers_that_a_reader_waits_for_have_a_line() -> None:
    shown, printed = display()
    place = ("ppm", "2.4x", 1376)
    shown.on_record(score(place, "piqa", [1.0, 0.0]))
    shown.on_record(record(place, "parameters", "count", 100.0))
    shown.on_record(record(place, "8x4 block_prefill", "sec", 1.0))
    shown.on_record(record(place, "8x4 ttft", "sec", 1.0))
    assert len(printed) == 2
    assert all(line.startswith("SmolLM2-135M-Instruct, ") for line in printed)
    assert ["piqa" in line for line in printed] == [True, False]
    assert "8x4" in printed[1]


def test_a_job_that_goes_wrong_says_why() -> None:
    shown, printed = display()
    job = Job(key="cell", label="tiny, dense: piqa", work=None)
    shown.on_event(Retrying(job=job, worker="cpu", reason="it was killed", attempt=2))
    assert printed == ["tiny, dense: piqa: it was killed; attempt 2"]


def test_scores_come_model_by_model_and_costs_last(capsys: pytest.CaptureFixture[str]) -> None:
    place = (None, "dense", DENSE)
    first = score(place, "piqa", [1.0, 0.0] * 20)
    records = [first, replace(first, model="other", cell="other")]
    print_study([*records[:1]])
    alone = capsys.readouterr().out
    assert "SmolLM2-135M-Instruct\n" not in alone
    print_study(records)
    lines = capsys.readouterr().out.splitlines()
    assert lines.index("SmolLM2-135M-Instruct") < lines.index("other")
