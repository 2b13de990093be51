"""Options of `plan` and `prune`: what contradicts itself or fits no criterion is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from transformers.utils import logging

from widthwise.cli.plan_options import tell_needs
from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import PlanError
from widthwise.prune import PruneSpec, estimate_cut


def test_prune_reads_calibration_only_for_its_criterion(saved: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("some text")
    words = ["plan", saved, "--width", "9", "-o", tmp_path / "plan.json"]
    result = run(*words, "--criterion", "ppm", "--calibration", text)
    assert result.exit_code == 1
    assert "criterion ppm looks at weights only" in result.stderr
    result = run(*words, "--criterion", "ppm_activation")
    assert result.exit_code == 1
    assert "needs activation norms" in result.stderr
    # its tokenizer files are not those of a tokenizer
    result = run(*words, "--criterion", "ppm_activation", "--calibration", text)
    assert result.exit_code == 1
    assert "there is no tokenizer to load" in result.stderr


EXPECTED_ERRORS = [
    (["--width", "0"], "--width 0 must be above 0"),
    (["--width", "nine"], "--width must look like 4864"),
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
    (["--wide", "9"], "No such option"),
    (["--width", "9", "--seed", "1"], "--seed is for the choice of neurons"),
]


@pytest.mark.parametrize(("options", "message"), USAGE_ERRORS)
def test_usage_errors_exit_2(options: list[str], message: str, saved: Path) -> None:
    result = run("plan", saved, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_plan_file_and_a_width_contradict(saved: Path, tmp_path: Path) -> None:
    result = run("prune", saved, "--width", "9", "--plan", "p.json", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "--plan already holds every choice; drop --width" in result.stderr


def test_no_bar_of_transformers_stands_beside_that_of_the_layers(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`plan --criterion activation` showed both; `prune --refit` hid the other one."""

    def seen(*_: Any, **__: Any) -> None:
        assert not logging.is_progress_bar_enabled()
        raise PlanError("no bar is shown")

    monkeypatch.setattr(logging, "_tqdm_active", True)
    monkeypatch.setattr("widthwise.cli.plan_options.make_plan", seen)
    words = ["--width", "9", "--criterion", "activation", "-o", tmp_path / "plan.json"]
    result = run("plan", saved, *words)
    assert result.stderr.endswith("Error: no bar is shown\n")


def test_workers_are_said_to_change_what_a_cut_takes(saved: Path, capsys: Any) -> None:
    source = resolve_model(saved)
    estimate = estimate_cut(source, PruneSpec.of(remove="50%", align=1), 2048)
    tell_needs(source, estimate, is_divided=True)
    said = capsys.readouterr().err
    assert said.endswith("; workers take some of the time off, and need memory too.\n")


def test_hidden_states_on_disk_and_hours_are_said(saved: Path, capsys: Any) -> None:
    source = resolve_model(saved)
    estimate = estimate_cut(source, PruneSpec.of(remove="50%", align=1), 2048)
    work = replace(estimate.work, passes=1e24)
    tell_needs(source, replace(estimate, work=work, state_bytes=10**8))
    said = capsys.readouterr().err
    assert re.fullmatch(r"Roughly \d+\.\d hours if .* of memory, 0\.1 GB in \S+\.\n", said)
