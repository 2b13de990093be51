"""`widthwise abc`: words, JSON, the picture, and clean errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from json_results import printed_json

from widthwise.cli import main


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, ["abc", *(str(word) for word in words)])


def test_a_name_is_explained() -> None:
    result = run("mup", "--layers", 4)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "muP: 4 hidden layers, sgd"
    assert lines[2].split() == ["1", "n^(1/2)", "n^(-1/2)", "1", "0"]
    assert lines[6].split() == ["output", "n^(-1/2)", "n^(-1/2)", "1", "-"]
    assert lines[7] == "regime feature, r = 0"
    assert lines[8].startswith("Feature learning: ")
    assert run("mup ", "--layers", 4).stdout == result.stdout


def test_exponents_as_json() -> None:
    result = run("--a=-1/2,0,1/2", "--b=1/2,1/2,1/2", "--c=0", "--json")
    found = printed_json("abc", result)
    assert found["regime"] == "feature"
    assert (found["r"], found["r_layers"]) == ("0", ["0", "0"])
    assert (found["stable"], found["nontrivial"], found["hidden_layers"]) == (True, True, 2)
    assert found["updated_maximally"] == [True, True, True]
    assert (found["a"], found["c"]) == (["-1/2", "0", "1/2"], ["0", "0", "0"])


@pytest.mark.parametrize(
    ("words", "regime"),
    [
        (["ntp"], "kernel"),
        (["sp"], "kernel"),
        (["sp", "--c=0"], "unstable"),
        (["sp", "--c", "2,2,2"], "trivial"),
        (["mfp", "--layers", 1], "feature"),
        (["up_1/3", "--layers", 3], "kernel"),
        (["table3"], "feature"),
        (["mup", "--optimizer", "adam"], "feature"),
        (["ntp", "--optimizer", "adam"], "kernel"),
        (["--a=0,0", "--b=0,1/2", "--c=0,1/2", "--optimizer", "adam"], "unstable"),
    ],
)
def test_regimes(words: list[Any], regime: str) -> None:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["regime"] == regime


def test_adam_has_a_fourth_exponent_and_may_be_undecided() -> None:
    assert json.loads(run("mup", "--optimizer", "adam", "--json").stdout)["d"] == ["1"] * 3
    late = ["--a=0,1", "--b=0,1/2", "--c=0", "--optimizer", "adam"]
    assert json.loads(run(*late, "--json").stdout)["regime"] is None
    assert "regime not decided" in run(*late).stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["mup", "--layers", 0], 1, "1 to 1000 hidden layers"),
        (["mup", "--layers", 10**9], 1, "1 to 1000 hidden layers"),
        (["--a=0,0", "--b=0,1/2,1/2", "--c=0"], 1, "got 2 of a, 3 of b, 2 of c"),
        (["--a=0,1/0", "--b=0,0", "--c=0"], 1, "got '1/0'"),
        (["--a=0,x", "--b=0,0", "--c=0"], 1, "must be a fraction"),
        (["--a=0", "--b=0", "--c=0"], 1, "got 0"),
        (["mup", "--a=0,0"], 1, "got 2 of a, 3 of b, 3 of c"),
        (["lecun"], 1, "must be one of sp, ntp"),
        ([" "], 1, "must be one of sp, ntp"),
        (["mup", "-o", "picture.gif"], 2, "must end in .png"),
        (["mup", "-o", "no/such/folder.png"], 1, "the folder of no/such/folder.png does not exist"),
        (["mup", "--optimizer", "adam", "-o", "x.png"], 2, "parametrizations for SGD"),
    ],
)
def test_wrong_input_gets_one_clean_sentence(words: list[Any], code: int, said: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.output
