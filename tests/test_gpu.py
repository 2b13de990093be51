"""The prepared run of benchmarks/gpu.py: parts keep to their time, and its file is always whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from scripts import ROOT, load_script
from toy_worker import is_gone, wait_until

gpu = load_script("benchmarks/gpu.py")

# Starts a child, writes figures, and never ends by itself.
HANGS = """
import pathlib, subprocess, sys, time
place = pathlib.Path(sys.argv[1])
child = subprocess.Popen(["sleep", "600"])
(place / "child").write_text(str(child.pid))
(place / "part.json").write_text('{"so far": 1}')
print("begun", flush=True)
time.sleep(600)
"""


@pytest.mark.long
def test_a_rehearsal_ends_whole(tmp_path: Path) -> None:
    """The shell script, and in processes of their own the model's files and a refit of it."""
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--shape", "tiny", "--parts", "refit", "-o", str(out)]
    done = subprocess.run(
        ["sh", str(ROOT / "benchmarks" / "gpu.sh"), *words],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["machine"]["torch"] == torch.__version__
    assert result["settings"] == {"minutes": 8, "device": "cpu", "shape": "tiny"}
    assert [(part["name"], part["exit_code"]) for part in result["parts"]] == [
        ("model", 0),
        ("refit", 0),
    ]
    figures = result["parts"][1]["figures"]
    assert len(figures["layer_ends_sec"]) == len(figures["ridges"]) == 2
    assert 0 < figures["held_out_error"] < 1


def test_a_part_is_ended_at_its_limit_with_its_children(tmp_path: Path) -> None:
    found = gpu.run_part("part", [sys.executable, "-c", HANGS, str(tmp_path)], 1.0, tmp_path)
    while not (tmp_path / "part.json").exists():  # on a busy machine it had not begun: more time
        found = gpu.run_part("part", [sys.executable, "-c", HANGS, str(tmp_path)], 10.0, tmp_path)
    assert found.exit_code is None
    assert found.reason is not None
    assert found.reason.startswith("it was ended after ")
    assert found.figures == {"so far": 1}
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: is_gone(child))


def test_a_part_that_fails_says_why(tmp_path: Path) -> None:
    found = gpu.run_part("part", [sys.executable, "-c", "1 / 0"], 60, tmp_path)
    assert (found.exit_code, found.figures) == (1, None)
    assert found.last_lines[-1] == "ZeroDivisionError: division by zero"


def test_what_a_part_does_not_use_goes_to_those_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two equal parts gets half of the time, and the second all that is left."""
    monkeypatch.setattr(gpu, "command_of", lambda *_, **__: [sys.executable, "-c", ""])
    parts = [gpu.Part(name=name, share=1.0) for name in ("one", "two")]
    *_, done = gpu.run_all(parts, time.monotonic() + 1000, tmp_path, {})
    one, two = done
    assert one.limit_sec <= 500
    assert two.limit_sec == pytest.approx(2 * one.limit_sec - one.seconds, abs=1)


def test_a_part_is_left_out_where_it_cannot_be_done() -> None:
    done = [gpu.Outcome(name="model", exit_code=1), gpu.Outcome(name="tests", exit_code=0)]
    for part, left, reason in (
        (gpu.Part(name="x", share=1, packages=("no_such_module",)), 60,
         "no_such_module is not installed"),
        (gpu.Part(name="x", share=1, needs=("model",)), 60,
         "it needs the part model, which did not end well"),
        (gpu.Part(name="x", share=1), 2.2, "only 2.2 s were left"),
        (gpu.Part(name="x", share=1, needs=("tests",), packages=("json",)), 60, None),
    ):  # fmt: skip
        assert gpu.reason_to_leave_out(part, done, left) == reason


def test_parts_bring_what_they_need_and_strangers_are_refused(tmp_path: Path) -> None:
    assert [p.name for p in gpu.chosen_parts(None, None, "heal,refit")] == [
        "model",
        "refit",
        "heal",
    ]
    found = CliRunner().invoke(gpu.main, ["--parts", "refit,speed", "-o", str(tmp_path / "x")])
    assert found.exit_code == 2
    assert "speed is no part; parts are model, tests, refit" in found.output


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    words = ["--device", "cpu", "--shape", "tiny", "-o", str(tmp_path / "absent" / "gpu.json")]
    found = CliRunner().invoke(gpu.main, words)
    assert found.exit_code == 1
    assert "absent/gpu.json does not exist; make it first" in found.output


def test_without_a_cuda_device_the_run_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    out = tmp_path / "gpu.json"
    found = CliRunner().invoke(gpu.main, ["-o", str(out)])
    assert found.exit_code == 1
    assert "the device cuda cannot be used by" in found.output
    assert "rehearse with --device cpu --shape tiny" in found.output
    assert not out.exists()
