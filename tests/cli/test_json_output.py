"""`--json`: one object alone on standard output, and values as JSON has them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

from widthwise.cli.json_output import plain, without
from widthwise.stats import Difference, Positive, Share


def test_all_else_is_on_standard_error_and_quiet_leaves_errors(saved: Path, tmp_path: Path) -> None:
    words = ["prune", saved, "--width", "9", "--criterion", "ppm", "--json", "-o"]
    loud, quiet = run(*words, tmp_path / "loud"), run(*words, tmp_path / "quiet", "--quiet")
    assert f"{tmp_path / 'loud'}\n" in loud.stderr
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert json.loads(quiet.stdout)["plan"] == json.loads(loud.stdout)["plan"]
    assert loud.stdout.count("\n") == 1


def test_what_cannot_be_done_prints_no_object(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").touch()
    words = ["prune", saved, "--criterion", "ppm", "--width", "9", "--json"]
    for more, code in ((["-o", tmp_path / "there"], 1), (["--nosuch"], 2)):
        result = run(*words, *more)
        assert (result.exit_code, result.stdout) == (code, "")
        assert "Error: " in result.stderr


def test_no_option_prints_no_object(saved: Path) -> None:
    words = ["plan", saved, "--width", "9"]
    run(*words, "--json")  # does not outlive its command
    assert run(*words).stdout.startswith(f"{saved.name}") or "got    width 9" in run(*words).stdout


@dataclass(frozen=True)
class Made:
    path: Path
    score: Any


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Made(Path("a/b"), 0.5), {"path": "a/b", "score": 0.5}),
        ((Fraction(-1, 2), None, True), ["-1/2", None, True]),
        ({1: [math.inf, -math.inf, math.nan, 2]}, {"1": [None, None, None, 2]}),
        (np.array([[1.0, np.inf]]), [[1.0, None]]),
        (np.float32(0.5), 0.5),
        (Difference(value=1.0, low=-math.inf, high=math.inf, n=1, p_value=1.0),
         {"value": 1.0, "low": None, "high": None, "n": 1, "p_value": 1.0}),
        (Positive(value=2.0, standard_error=None, n=1),
         {"value": 2.0, "standard_error": None, "n": 1, "interval": None}),
    ],
    ids=repr,
)  # fmt: skip
def test_values_as_json_has_them(value: object, expected: object) -> None:
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_an_estimate_has_its_own_interval() -> None:
    share = Share(value=0.0, standard_error=0.0, n=4)
    assert plain(share)["interval"] == pytest.approx(share.interval())


def test_fields_are_left_out_by_name() -> None:
    assert without(Made(Path("a"), 1), "path") == {"score": 1}
