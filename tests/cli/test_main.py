"""The command line: data on stdout, one line on errors, exit codes 0, 1 and 2."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from command_line import run

from widthwise import Plan
from widthwise.cli import main


def test_every_command_has_help_with_an_example() -> None:
    for name, command in main.commands.items():
        result = run(name, "--help")
        assert result.exit_code == 0
        assert command.help
        assert f"Example: widthwise {name}" in result.stdout


def test_plan_shows_the_width_and_writes_nothing(saved: Path) -> None:
    before = sorted(p.name for p in saved.parent.rglob("*"))
    result = run("plan", saved, "--to", "0.9x")
    assert result.exit_code == 0
    assert "asked  --to 0.9x\n" in result.stdout
    assert "sha256" not in result.stdout
    assert "width 28 of 53, 0.875x of 1.656x" in result.stdout
    assert sorted(p.name for p in saved.parent.rglob("*")) == before


def test_a_saved_plan_can_be_applied(saved: Path, tmp_path: Path) -> None:
    run("plan", saved, "--remove", "40%", "--preset", "paper", "-o", tmp_path / "plan.json")
    plan = Plan.load(tmp_path / "plan.json")
    assert (plan.width, plan.criterion) == (32, "ppm")
    result = run("prune", saved, "--plan", tmp_path / "plan.json", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert "width 32 of 53" in result.stderr
    assert Plan.load(tmp_path / "out" / "widthwise_plan.json") == plan
    again = run("plan", saved, "--width", "9", "-o", tmp_path / "plan.json")
    assert again.exit_code == 1
    assert "already exists; pass --force" in again.stderr


def test_plan_json_is_the_width_and_with_a_file_the_whole_plan(saved: Path, tmp_path: Path) -> None:
    words = ["plan", saved, "--width", "9", "--json"]
    assert json.loads(run(*words).stdout)["width"] == 9
    whole = run(*words, "--criterion", "ppm", "-o", tmp_path / "plan.json").stdout
    assert Plan.from_json(whole) == Plan.load(tmp_path / "plan.json")


def test_prune_needs_a_place(saved: Path) -> None:
    assert run("prune", saved, "--width", "9").exit_code == 2


@pytest.mark.parametrize("model", ["absent", "/absent/folder", "a b/c"])
def test_a_model_that_is_not_there_is_named(model: str) -> None:
    result = run("plan", model, "--width", "9")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {model}: no such folder")


def test_a_file_that_is_no_model_is_named(saved: Path) -> None:
    result = run("plan", saved / "model.safetensors", "--width", "9")
    assert result.exit_code == 1
    assert "for a single safetensors file, give its folder" in result.stderr


def test_unexpected_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("our own bug")

    monkeypatch.setattr("widthwise.cli.inspect.resolve_model", broken)
    assert isinstance(run("inspect", "x").exception, ZeroDivisionError)


def test_memory_that_does_not_suffice_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the error of torch itself."""
    monkeypatch.setattr("widthwise.cli.inspect.resolve_model", lambda _: torch.empty(2**60))
    result = run("inspect", "x")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: memory does not suffice: ")
    assert "allocate" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_second_ctrl_c_leaves_no_traceback() -> None:
    """It comes where libraries tidy up as Python exits."""
    code = """
import atexit, importlib, os, signal, time
from widthwise.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run behind a shell

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)

atexit.register(interrupt)
importlib.import_module("widthwise.cli.inspect").resolve_model = interrupt
main(["inspect", "x"])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("", "Error: interrupted\n")
    assert ended.returncode == -signal.SIGINT


@pytest.mark.parametrize("command", ["inspect", "plan", "findings"])
def test_a_name_with_bytes_that_are_no_text_is_shown(command: str, tmp_path: Path) -> None:
    result = run(command, os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    assert result.exit_code == 2
    assert result.stderr.endswith("caf\\xe9' is no text in UTF-8; use another name\n")


def test_a_file_within_whose_name_is_no_text_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: Any) -> None:
        "caf\udce9".encode()

    monkeypatch.setattr("widthwise.cli.inspect.resolve_model", write)
    result = run("inspect", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: 'caf\\xe9' is no text in UTF-8; use another name\n"


def test_a_name_that_is_too_long_is_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / ("a" * 300)
    result = run("measure", "x", "-o", place)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {place}")
    assert result.stderr.endswith(": File name too long\n")
    assert result.stderr.count("\n") == 1


def test_a_working_directory_that_was_removed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = run("inspect", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: the working directory does not exist any more; change to another one\n"
    )


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_exit_codes_are_those_of_the_documentation(
    saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf8")
    assert re.findall(r"^\| (\d) \|", text, re.MULTILINE) == ["0", "1", "2"]
    assert run("plan", saved, "--width", "9").exit_code == 0
    wrong = [
        ["plan", saved],  # no width
        ["plan", saved, "--width", "9", "--to", "1x"],  # two
        ["plan", saved, "--width", "9", "--nosuch"],
        ["prune", saved, "--width", "9"],  # no place
        ["nosuch"],
    ]
    assert [run(*words).exit_code for words in wrong] == [2] * len(wrong)
    (tmp_path / "there").mkdir()
    undone = run("prune", saved, "--width", "9", "-o", tmp_path / "there")
    assert undone.exit_code == 1
    assert undone.stderr.splitlines()[-1].startswith("Error: ")
    monkeypatch.setattr("widthwise.cli.plan.resolve_model", _interrupted)
    stopped = run("plan", saved, "--width", "9")
    assert (stopped.exit_code, stopped.stderr) == (1, "Error: interrupted\n")


def test_no_color_switches_colours_off(saved: Path, tmp_path: Path) -> None:
    """Of the bar, as on a terminal; the codes of colours begin with 3, 4, 9 or 10."""
    told = {}
    for name, given in (("coloured", {}), ("plain", {"NO_COLOR": "1"})):
        terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80", **given}
        words = ["prune", str(saved), "--width", "9", "--criterion", "ppm", "-o"]
        result = CliRunner().invoke(main, [*words, str(tmp_path / name)], env=terminal)
        assert result.exit_code == 0, result.output
        assert "writing" in result.stderr
        told[name] = re.findall(r"\x1b\[(?:\d;)*(?:[349]\d|10\d)[;m]", result.stderr)
    assert told["coloured"]
    assert told["plain"] == []
