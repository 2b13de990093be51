"""`widthwise limit converge`: tables, JSON, the figure, and clean errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from json_results import printed_json

from widthwise.cli import main
from widthwise.theory import PowerLawFit
from widthwise.theory.power_law import Slope

SMALL = ["--widths", "16,64", "--seeds", "4"]


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, ["limit", "converge", *(str(word) for word in words)])


def test_four_standard_cases_are_fitted() -> None:
    result = run(*SMALL)
    assert result.exit_code == 0, result.output
    first, second = result.stdout.split("\n\n")
    assert first.startswith("Distance of outputs from the limit")
    for text in (first, second):
        for name in ("muP, linear", "muP, tanh", "muP, 2 layers, linear", "NTP, tanh"):
            assert name in text
    verdict = r"(-1/2|0) +(agrees|disagrees|undecided) *$"
    for text in (first, second):
        assert len(re.findall(verdict, text, re.MULTILINE)) == 4
    assert ("undecided" in result.stdout) == ("more --seeds or --widths" in result.stdout)


def test_a_slope_that_may_be_none_is_undecided_in_both_tables() -> None:
    """Two seeds at two widths: intervals that hold 0 as well are no agreement."""
    words = ["ntp", "--activation", "tanh", "--widths", "16,24", "--seeds", 2]
    (found,) = printed_json("limit converge", run(*words, "--json"))["cases"]
    for rate, verdict in (("distance", "verdict"), ("movement", "movement_verdict")):
        low, high = found[rate]["slope_interval"]
        assert low < -0.5 < 0 < high, "the test wants an interval that holds both"
        assert found[verdict] == "undecided"
    shown = run(*words).stdout
    assert len(re.findall(r"undecided *$", shown, re.MULTILINE)) == 2
    assert "more --seeds or --widths make it narrower" in shown


def test_json_has_every_run_and_both_slopes() -> None:
    result = run("ntp", "--activation", "erf", "--steps", 3, "--lr", 0.2, *SMALL, "--json")
    (found,) = json.loads(result.stdout)["cases"]
    assert (found["case"], found["lr"], found["steps"]) == ("NTP, erf", 0.2, 3)
    assert (found["expected_slope"], found["expected_movement_slope"]) == ("-1/2", "-1/2")
    for rate in (found["distance"], found["movement"]):
        assert rate["widths"] == [16, 64]
        assert [len(row) for row in rate["runs"]] == [4, 4]
        low, high = rate["slope_interval"]
        assert low < rate["slope"] < high
    assert found["limit_movement"] == 0


def test_the_seed_decides_everything() -> None:
    words = ["mup", "--activation", "linear", *SMALL, "--json"]
    assert run(*words).stdout == run(*words).stdout
    assert run(*words).stdout != run(*words, "--seed", 99).stdout


def test_exponents_may_be_given_and_a_power_that_is_not_known_is_not_named() -> None:
    named = run("up_1/4", *SMALL, "--json")
    given = run("--a=-1/4,1/2", "--b=1/4,1/4", "--c=0", *SMALL, "--json")
    ((one,), (other,)) = (json.loads(each.stdout)["cases"] for each in (named, given))
    assert one["distance"] == other["distance"]
    assert one["expected_slope"] is None
    assert "not known" in run("up_1/4", *SMALL).stdout


def test_a_rough_quadrature_is_confessed() -> None:
    said = "the limit itself is known to"
    assert said in run("mup", "--activation", "relu", "--widths", "64,4096", "--seeds", 2).stdout
    assert said not in run("mup", "--activation", "tanh", *SMALL).stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sp", "--c=0"], 1, "an unstable parametrization has no limit. Unstable: "),
        (["sp", "--c=2"], 1, "a trivial parametrization has nothing to follow"),
        (["mup", "--layers", 0], 1, "1 to 1000 hidden layers"),
        (["--a=0,0", "--b=0,1/2,0", "--c=1"], 1, "got 2 of a, 3 of b"),
        (["--a=0,half", "--b=0,1/2", "--c=1"], 1, "must be a fraction"),
        (["--a=0,0"], 2, "or all of --a, --b and --c"),
        (["--lr", 1], 2, "--lr must go with a parametrization"),
        (["--layers", 2], 2, "--layers must go with a parametrization"),
        (["mup", "--activation", "gelu"], 1, "must be one of linear, relu, erf, tanh"),
        (["mup", "--widths", "64"], 1, "at least two numbers above 0, ascending"),
        (["mup", "--widths", "64,32"], 1, "ascending; got 64, 32"),
        (["mup", "--widths", "64,many"], 2, "whole numbers with commas"),
        (["mup", "--widths", "64,999999999"], 1, "at most 100,000,000 weights"),
        (["mup", "--seeds", 1], 2, "2<=x<=10000"),
        (["mup", "--lr", "nan"], 1, "lr must be above 0"),
        (["mup", "--lr", 1000, "--activation", "linear"], 1, "training must stay finite"),
        (["mup", "--lr", 100], 1, "it diverged with lr 100: outputs of"),
        (["-o", "no/such/folder.png"], 1, "does not exist; make it first"),
        (["-o", "figure.txt"], 2, "must end in .png"),
    ],
)
def test_wrong_input_gets_one_clean_sentence(words: list[Any], code: int, said: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("low", "high", "theory", "verdict"),
    [
        (-0.6, -0.4, -0.5, "agrees"),
        (-1.1, 0.1, -0.5, "undecided"),  # holds 0 too
        (-0.85, -0.15, -0.5, "undecided"),  # as well of -1/4 or -3/4
        (-0.275, 0.025, -0.125, "undecided"),  # near, and holds 0
        (-0.2, -0.05, -0.125, "agrees"),
        (-0.4, 0.1, -0.5, "disagrees"),
        (-0.1, 0.1, 0, "agrees"),
        (-0.1, -0.01, 0, "agrees"),  # of finite widths: within the margin
        (-0.3, 0.1, 0, "undecided"),
        (-0.3, -0.2, 0, "disagrees"),
    ],
)
def test_a_verdict_says_what_the_interval_carries(
    low: float, high: float, theory: float, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slope, "interval", lambda self, confidence=0.95: (low, high))
    slope = Slope(value=(low + high) / 2, standard_error=0.1, n=8)
    rate = PowerLawFit(
        widths=(1, 2), runs=np.ones((2, 4)), sizes=(1, 1), slope=slope, size_at_one=1
    )
    assert rate.agreement_with(theory) == verdict


def test_an_interrupted_command_says_that_nothing_is_kept(monkeypatch: Any) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("widthwise.cli.limit.run_case", interrupted)
    result = run("mup", *SMALL)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: interrupted; networks trained so far are not kept: the same command begins anew\n"
    )


def test_a_figure_is_not_drawn_over_another(tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    assert run("mup", "--activation", "linear", *SMALL, "-o", path).exit_code == 0
    assert path.read_bytes().startswith(b"<?xml")
    before = path.read_bytes()
    again = run("mup", *SMALL, "-o", path)
    assert (again.exit_code, path.read_bytes()) == (1, before)
    assert "already exists; pass --force" in again.stderr


def test_the_document_says_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf8")
    shown = re.findall(r"```console\n\$ widthwise (.*?)\n(.*?)```", text, re.DOTALL)
    assert len(shown) == 2
    for command, output in shown:
        printed = CliRunner().invoke(main, command.split()).stdout
        assert [line.rstrip() for line in printed.splitlines()] == output.splitlines()
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "limits.md", "exec"), {})
    assert capsys.readouterr().out.split("\n") == [
        *("0 1 1", "kernel", "[ 0.174 -0.448  0.692]", "True True", "")
    ]


def test_a_terminal_shows_how_far_all_cases_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "120")):
        monkeypatch.setenv(name, value)
    result = run("--widths", "8,16", "--seeds", "2")
    assert result.exit_code == 0, result.output
    assert "100 %" in result.stderr
    assert result.stdout.startswith("\x1b[1mDistance of outputs from the limit")


def test_how_far_features_move_is_set_beside_the_kernel_regime(tmp_path: Path) -> None:
    out = tmp_path / "features.png"
    words = ("limit", "kernel", "--layers", 1, "--widths", "32,64,128", "--seeds", 3, "--steps", 4)
    result = CliRunner().invoke(main, [*map(str, words), "-o", str(out), "--json"])
    assert result.exit_code == 0, result.output
    ours, kernel = printed_json("limit kernel", result)["cases"]
    assert (ours["case"], kernel["case"]) == ("muP, tanh", "NTP, tanh")
    moved = [step[0] for step in ours["limit_movements"]]
    assert moved[0] == 0
    assert moved[-1] == pytest.approx(ours["limit_movement"])
    assert kernel["limit_movements"] == [[0.0]] * 5
    assert kernel["expected_movement_slope"] == "-1/2"
    assert out.read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "features.html").read_text(encoding="utf8")
    assert "How far do features move in training?" in page
    plain = CliRunner().invoke(main, [*map(str, words)])
    assert plain.stdout.splitlines()[0] == "Movement of the last features in training"
