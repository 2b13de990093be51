"""`widthwise shrink`: what it prints and writes, and one line for everything that is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from every_family import tiny_model
from healing_runs import run
from json_results import printed_json
from shrink_runs import made, quick_runs

from widthwise.cli.shrink import shrink
from widthwise.shrink import ShrinkSettings

USAGE = [
    (
        [],
        "Ask for something with exactly one of --remove, --params, --size, --smaller, --max-loss, "
        "--faster; got none",
    ),
    (["--remove", "20%", "--size", "1GB"], "got --remove and --size"),
    (["--remove", "20%", "--gguf", "q9"], "'q9' is not one of"),
    (["--remove", "20%", "--minutes", "0"], "0.0 is not in the range x>0"),
    (["--remove", "20%", "--limit", "1"], "1 is not in the range x>=2"),
]
EXPECTED = [
    (["--remove", "much"], "--remove must look like 40%; got 'much'"),
    (["--smaller", "0%"], "--smaller must look like 15%"),
    (["--remove", "20%", "--dtype", "int8"], "--dtype must be one of"),
    (["--remove", "20%", "--text", "/no/such/text"], "/no/such/text: no such file or folder"),
    (["--remove", "20%", "--task", "embedded:no"], "suite embedded has no task 'no'"),
    (["--size", "1kB"], "even at width 1 of 53"),
    (["--params", "10"], "even with one neuron in each layer the model has"),
    (["--size", "1GB"], "--size 1GB needs no cut"),
]


@pytest.mark.parametrize(("words", "said"), USAGE)
def test_bad_usage_is_a_usage_error(words: list[str], said: str, tmp_path: Path) -> None:
    result = run("shrink", "smollm2", *words, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "said"), EXPECTED)
def test_what_cannot_be_is_one_line_before_anything_is_written(
    words: list[str], said: str, saved: Path, tmp_path: Path
) -> None:
    result = run("shrink", saved, *words, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    tiny_model("modernbert").save_pretrained(tmp_path / "encoder")
    result = run("shrink", tmp_path / "encoder", "--remove", "20%", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "which is not a causal language model" in result.stderr


def test_a_dry_run_says_the_plan_and_writes_nothing(saved: Path, tmp_path: Path) -> None:
    result = run("shrink", saved, "--smaller", "5%", "--dry-run", "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (0, ""), result.output
    again = run("shrink", saved, "--smaller", "5%", "--dry-run", "--json", "-o", tmp_path / "out")
    planned = printed_json("shrink --dry-run", again)
    assert planned["planned_bytes"] <= 0.95 * planned["dense_bytes"]
    assert again.stderr == result.stderr
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Without a cut nothing is known to save")
    assert "asked --smaller 5%; width " in lines[1]
    assert "the checkpoint has at most " in lines[1]
    assert lines[2].startswith("Roughly ")
    assert lines[3].endswith("of the 60 minutes for all stages healing has what the others leave.")
    assert lines[4] == "Healing takes about 0.01 GB of memory, and is left out without them."
    assert not (tmp_path / "out").exists()


def test_a_run_prints_tables_and_a_verdict_and_again_prints_the_same(
    text: Path, tmp_path: Path
) -> None:
    settings = made(tmp_path, text, minutes=0.001)
    options = {"remove": "40%", "task": "piqa", "minutes": "0.001", "device": "cpu"}
    options |= {"data": settings.data, "text": settings.text, "out": tmp_path / "out"}
    words: list[Any] = [w for name, value in options.items() for w in (f"--{name}", value)]
    with quick_runs():
        result = run("shrink", settings.model, *words)
        again = run("shrink", settings.model, *words)
        values = printed_json("shrink", run("shrink", settings.model, *words, "--json"))
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    lines = result.stdout.splitlines()
    assert lines[-3:] == [
        f"page: {out / 'report.html'}",
        f"in Markdown, with how to load it: {out / 'README.md'}",
        f"checkpoint: {out / 'model'}",
    ]
    assert "Asked: 40% of the neurons removed; reached, as 41.5 % of them are (" in result.stdout
    assert "After the cut and its refit: KL " in result.stderr
    assert "It was not healed: " in result.stderr
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    assert (values["asked"], values["reached"]) == ("--remove 40%", True)
    assert values["file_bytes"] < values["dense_bytes"]
    assert [pair["quantity"] for pair in values["pairs"]] == ["piqa"]
    assert {speed["metric"] for speed in values["speeds"]} == {"ttft", "tpot", "throughput"}
    other = run("shrink", settings.model, *words, "--seed", "3")
    assert other.exit_code == 1
    assert "was started with seed 0, not 3; name another folder with -o" in other.stderr


def test_minutes_that_the_cut_alone_takes_are_said_first(saved: Path, tmp_path: Path) -> None:
    words = ["--remove", "40%", "--minutes", "0.0001", "--dry-run", "-o", tmp_path / "out"]
    result = run("shrink", saved, *words)
    assert "there is none left for healing: give more --minutes" in result.stderr


def test_the_command_and_the_library_have_the_same_defaults() -> None:
    defaults = {option.name: option.default for option in shrink.params}
    for field in dataclasses.fields(ShrinkSettings):
        if field.name in ("minutes", "limit", "seed"):
            assert defaults[field.name] == field.default
    assert defaults["tasks"] == ",".join(ShrinkSettings.tasks)
