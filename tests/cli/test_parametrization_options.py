"""Parametrizations as commands are asked for them: by name, by exponents, or by both."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from command_line import run

from widthwise.cli.parametrization_options import format_title


def test_exponents_beside_a_name_replace_those_of_it() -> None:
    named = json.loads(run("abc", "sp", "--layers", 2, "--json").stdout)
    changed = json.loads(run("abc", "sp", "--layers", 2, "--c", "2", "--json").stdout)
    assert changed["c"] == ["2"] * 3  # one is for all layers
    assert [Fraction(c) for c in named["c"]] != [2, 2, 2]
    assert (changed["a"], changed["b"]) == (named["a"], named["b"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give the name of a parametrization, or all of --a, --b and --c"),
        (["--a=0,0", "--b=0,0"], "or all of --a, --b and --c"),
        (["--a=0,0", "--b=0,0", "--c=0", "--layers", 1], "--layers goes with a name"),
    ],
)
def test_neither_a_name_nor_all_exponents_is_a_usage_error(words: list[str], message: str) -> None:
    result = run("abc", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "given", "title"),
    [
        ("MuP", (None, None, None), "muP"),
        ("up_1/3", (None, None, None), "up_1/3"),
        ("SP", (None, None, "0"), "SP, c = 0"),
        (None, ("0,0", "0,1/2", "0"), "a = 0,0; b = 0,1/2; c = 0"),
    ],
)
def test_a_title_says_what_was_changed(
    name: str | None, given: tuple[str | None, ...], title: str
) -> None:
    assert format_title(name, given) == title
