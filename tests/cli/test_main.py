"""The command line: data on stdout, one line on errors, exit codes 0, 1 and 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from widthwise import Plan
from widthwise.cli import main


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_every_command_has_help_with_an_example() -> None:
    for name, command in main.commands.items():
        result = run(name, "--help")
        assert result.exit_code == 0
        assert command.help
        assert f"Example: widthwise {name}" in result.stdout


def test_plan_shows_the_plan_and_writes_nothing(saved: Path) -> None:
    before = sorted(p.name for p in saved.parent.rglob("*"))
    result = run("plan", saved, "--to", "0.9x")
    assert result.exit_code == 0
    assert "asked  --to 0.9x, criterion ppm" in result.stdout
    assert "width 28 of 53, 0.875x of 1.656x" in result.stdout
    assert sorted(p.name for p in saved.parent.rglob("*")) == before


def test_a_saved_plan_can_be_applied(saved: Path, tmp_path: Path) -> None:
    run("plan", saved, "--remove", "40%", "--paper-widths", "-o", tmp_path / "plan.json")
    plan = Plan.load(tmp_path / "plan.json")
    assert plan.width == 32
    result = run("prune", saved, "--plan", tmp_path / "plan.json", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert "width 32 of 53" in result.stderr
    assert Plan.load(tmp_path / "out" / "widthwise_plan.json") == plan
    again = run("plan", saved, "--width", "9", "-o", tmp_path / "plan.json")
    assert again.exit_code == 1
    assert "already exists; pass --force" in again.stderr


def test_plan_json_is_the_plan(saved: Path) -> None:
    result = run("plan", saved, "--width", "9", "--json")
    assert Plan.from_json(result.stdout).width == 9


def test_inspect_prints_exact_counts(saved: Path, llama: Any) -> None:
    result = run("inspect", saved, "--width", "9", "--context", "64")
    data = json.loads(result.stdout)
    assert data["counts"][0]["parameters"] == sum(p.numel() for p in llama.parameters())
    assert data["counts"][1]["width"] == 9
    assert data["default_alignment"] == 1


def test_prune_reads_calibration_only_for_its_criterion(saved: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("some text")
    result = run("plan", saved, "--width", "9", "--calibration", text)
    assert result.exit_code == 1
    assert "criterion ppm looks at weights only" in result.stderr
    result = run("plan", saved, "--width", "9", "--criterion", "ppm_activation")
    assert result.exit_code == 1
    assert "needs activation norms" in result.stderr
    options = ["--width", "9", "--criterion", "ppm_activation", "--calibration", text]
    result = run("plan", saved, *options)  # its tokenizer files are not those of a tokenizer
    assert result.exit_code == 1
    assert "its tokenizer cannot be loaded, since none is there" in result.stderr


EXPECTED_ERRORS = [
    (["--width", "0"], "--width 0 must be above 0"),
    (["--width", "53"], "width must be in [1, 52]"),
    (["--to", "9x"], "width must be in [1, 52]"),
    (["--to", "wide"], "must look like 2.4x"),
    (["--width", "9", "--criterion", "maw"], "criterion must be one of ppm"),
    (["--width", "9", "--dtype", "int3"], "--dtype must be one of float32"),
    (["--width", "9", "--align", "16"], "below the alignment 16"),
    (["--width", "9", "--seed", "99999999999"], "seed must be a whole number in"),
]


@pytest.mark.parametrize(("options", "message"), EXPECTED_ERRORS)
@pytest.mark.parametrize("command", ["plan", "prune"])
def test_expected_errors_are_one_line_and_exit_1(
    command: str, options: list[str], message: str, saved: Path, tmp_path: Path
) -> None:
    out = ["-o", tmp_path / "out"] if command == "prune" else []
    result = run(command, saved, *options, *out)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parent"]


USAGE_ERRORS = [
    ([], "got none"),
    (["--to", "1x", "--width", "9"], "got --to and --width"),
    (["--width", "9", "--exact", "--align", "8"], "contradict each other"),
    (["--remove", "9%", "--paper-widths", "--align", "8"], "rounds to no multiple"),
    (["--width", "nine"], "not a valid integer"),
    (["--wide", "9"], "No such option"),
]


@pytest.mark.parametrize(("options", "message"), USAGE_ERRORS)
def test_usage_errors_exit_2(options: list[str], message: str, saved: Path) -> None:
    result = run("plan", saved, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_prune_needs_a_place(saved: Path) -> None:
    assert run("prune", saved, "--width", "9").exit_code == 2


def test_a_plan_file_and_a_width_contradict(saved: Path, tmp_path: Path) -> None:
    result = run("prune", saved, "--width", "9", "--plan", "p.json", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "--plan already holds every choice; drop --width" in result.stderr


@pytest.mark.parametrize("model", ["absent", "/absent/folder", "a b/c"])
def test_a_model_that_is_not_there_is_named(model: str) -> None:
    result = run("plan", model, "--width", "9")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {model}: no such folder")


def test_a_file_that_is_no_model_is_named(saved: Path) -> None:
    result = run("plan", saved / "model.safetensors", "--width", "9")
    assert result.exit_code == 1
    assert "for a single safetensors file name its folder" in result.stderr


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
