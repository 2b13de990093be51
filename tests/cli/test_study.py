"""`widthwise study`: workers, tables and a page; resumed, and refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import piqa_at_ppm, run
from json_results import printed_json

pytestmark = pytest.mark.usefixtures("quick_ceilings")


@pytest.mark.long
def test_the_command_runs_workers_and_goes_on(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The real thing: a worker process, lines where there is no terminal, tables, a report."""
    out = tmp_path / "out"
    words = piqa_at_ppm("study", tiny_checkpoint)
    words += ["--dtype", "float32", "--device", "cpu", "-o", out]
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert "pieces to do: 3; starting workers (cpu, float32)" in result.stderr
    assert "tiny, ppm 1.4x" in result.stderr
    assert "piqa: acc_norm" in result.stdout
    assert (out / "report.html").exists()
    more = run(*words, "--remove", "40%")
    assert more.exit_code == 0, more.output
    assert "pieces done: 3 of 5, left: 2; starting workers (cpu, float32)" in more.stderr
    again = run(*words, "--remove", "40%", "--dry-run")
    assert "pieces done: 5 of 5, left: 0; cells to measure: 0" in again.stdout
    (model,) = printed_json("study", run(*words, "--remove", "40%", "--json"))["models"]
    assert {each["criterion"] for each in model["records"]} == {None, "ppm", "random"}


def test_what_a_study_would_measure_is_told_to_programs(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    words = piqa_at_ppm("study", tiny_checkpoint)
    words += ["--dtype", "float32", "--device", "cpu", "-o", tmp_path / "out", "--dry-run"]
    result = run(*words, "--json")
    found = printed_json("study --dry-run", result)
    assert len(found["pieces"]) == 3
    assert all(piece["cells"] > 0 < piece["least_sec"] for piece in found["pieces"])
    assert "cells to measure" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a", "--seeds", "x"], 2, "must be whole numbers with commas between them"),
        (["a", "--workers", "2"], 2, "--workers goes with --engine ray"),
        (["a", "--limit", "1"], 2, "is not a number of items"),
        (["a", "--to", "40%"], 1, "--to must look like 2.4x"),
        (["a", "a", "--to", "2.4x"], 1, "each once; got a, a"),
        (["/nowhere", "--to", "2.4x"], 1, "/nowhere"),
    ],
)
def test_bad_words_are_one_sentence(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    result = run("study", *words, "-o", tmp_path / "out")
    assert (result.exit_code, "Traceback" in result.output) == (code, False), result.output
    assert said in result.output
