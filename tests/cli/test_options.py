"""Options that several commands share: lists, limits and names are read alike everywhere."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from command_line import run

from widthwise.assets import model_names
from widthwise.cli import main
from widthwise.cli.options import (
    check_writable,
    model_name,
    parse_item_limits,
    parse_names,
    parse_networks,
    parse_widths,
)
from widthwise.errors import OutputError, TargetError


def test_names_are_each_taken_once_and_in_order() -> None:
    assert parse_names(" b, a,,b ,") == ("b", "a")
    assert parse_names("") == ()


def test_limits_are_for_all_tasks_or_for_one() -> None:
    assert parse_item_limits("200, mmlu=400") == {"": 200, "mmlu": 400}
    assert parse_item_limits("mmlu=4,mmlu=4") == {"mmlu": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "'1' is not a number of items, at least 2"),
        ("mmlu=x", "'mmlu=x' is not a number of items"),
        ("-5", "is not a number of items"),
        ("4,5", "has two limits for all tasks"),
        ("mmlu=4,mmlu=5", "has two limits for mmlu"),
    ],
)
def test_limits_that_are_none_or_contradict_are_refused(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        parse_item_limits(text)


def test_networks_are_widths_then_the_limit_then_kernels() -> None:
    assert parse_networks("--width", (8, 40), True, ("ntk",)) == [
        ("finite", 8),
        ("finite", 40),
        ("limit", None),
        ("ntk", None),
    ]
    with pytest.raises(click.UsageError, match="nothing to train: give --width, --limit"):
        parse_networks("--width", (), False, ())


def test_a_width_is_read_as_what_it_was_given_as() -> None:
    context, to, remove = click.Context(main), click.Option(["--to"]), click.Option(["--remove"])
    assert parse_widths(context, to, "2.4x") == ("2.4x",)
    assert parse_widths(context, remove, "40%") == ("40%",)
    with pytest.raises(TargetError, match=r"--to must look like 2\.4x"):
        parse_widths(context, to, "40%")


def test_a_folder_is_the_same_with_and_without_a_slash() -> None:
    assert model_name("models/tiny/") == model_name("models/tiny") == "models/tiny"
    assert model_name("/") == "/"


def test_a_calibration_text_goes_with_a_criterion_that_reads_it() -> None:
    result = run("study", "a", "--to", "2x", "--criterion", "ppm", "--tokens", "2048")
    assert result.exit_code == 2
    assert "--tokens goes with a criterion that is calibrated" in result.stderr
    empty = run("study", "a", "--to", "2x", "--criterion", "activation", "--calibration", " ")
    assert empty.exit_code == 2
    assert "--calibration must name a text; got an empty name" in empty.stderr


def test_what_cannot_be_written_is_known_before_any_work(tmp_path: Path) -> None:
    check_writable(None, force=False)
    check_writable(tmp_path / "new.png", force=False)
    (tmp_path / "old.png").touch()
    check_writable(tmp_path / "old.png", force=True)
    with pytest.raises(OutputError, match=r"old\.png already exists; pass --force"):
        check_writable(tmp_path / "old.png", force=False)
    with pytest.raises(OutputError, match="does not exist; make it first"):
        check_writable(tmp_path / "nowhere" / "new.png", force=True)


@pytest.mark.parametrize("command", ["evaluate", "heal", "inspect", "plan", "prune", "study"])
def test_a_command_tells_all_names_of_models(command: str) -> None:
    text = run(command, "--help").stdout
    assert "{MODEL}" not in text
    assert all(name in text for name in model_names())
