"""Classification of abc-parametrizations: the tables of the paper, its symmetry, its theorems."""

from __future__ import annotations

import random
from fractions import Fraction
from math import inf, nan
from typing import Any

import pytest
from parametrizations import HALF, drawn_stable_before_training

from widthwise.errors import LimitError
from widthwise.theory import (
    Abc,
    check_least,
    check_positive,
    classify,
    exponents,
    faithful_abcd,
    mup,
    named,
)


def test_a_uniform_learning_rate_can_be_brought_about() -> None:
    one = named("table3", 3)
    assert len(set(one.c)) == 3
    shifted = one.reparametrized([x / 2 for x in one.c])
    assert set(shifted.c) == {0}
    assert shifted == mup(3)


def test_adam_without_its_division_is_sgd() -> None:
    """Where the first steps are faithful, both theorems say the same."""
    rng = random.Random(2)
    regimes = []
    for _ in range(1000):
        start = drawn_stable_before_training(rng)
        one = faithful_abcd(start.a, start.b, (*start.c[:-1], max(start.c[-1], start.b[-1])))
        adam, sgd = classify(one), classify(one.as_sgd())
        assert (adam.r_layers, adam.regime) == (sgd.r_layers, sgd.regime)
        assert adam.updated_maximally == sgd.updated_maximally
        theta = [Fraction(rng.randint(-9, 9), 6) for _ in one.a]
        again = classify(one.reparametrized(theta))
        assert (again.r_layers, again.regime, again.faithful) == (adam.r_layers, adam.regime, True)
        regimes.append(adam.regime)
    assert set(regimes) == {"feature", "kernel", "trivial", "unstable"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"a": (0, 0), "b": (0, 0), "c": (0,)}, "got 2 of a, 2 of b, 1 of c"),
        ({"a": (0,), "b": (0,), "c": (0,)}, "1 to 1000 hidden layers.*got 0"),
        ({"a": (), "b": (), "c": ()}, "got -1"),
        ({"a": (0.1, 0), "b": (0, 0), "c": (0, 0)}, "must be a fraction such as -1/2"),
        ({"a": (0, "1/0"), "b": (0, 0), "c": (0, 0)}, "got '1/0'"),
        ({"a": (0, "1e999999999"), "b": (0, 0), "c": (0, 0)}, "got '1e999999999'"),
        ({"a": 0, "b": (0, 0), "c": (0, 0)}, "a list with one for each layer; got 0"),
    ],
)
def test_malformed_parametrizations_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(LimitError, match=said):
        Abc(**values)


def test_exponents_are_read_exactly() -> None:
    assert exponents(" -1/2, +3 ,0.25") == (-HALF, 3, Fraction(1, 4))
    for text in ("", "1,,2", "half", "1/2/3", "nan", "\N{FULLWIDTH DIGIT ONE}", "1_0"):
        with pytest.raises(LimitError):
            exponents(text)


def test_numbers_are_checked_with_their_names() -> None:
    check_least("steps", 0, 0)
    with pytest.raises(LimitError, match=r"^steps must be at least 1; got 0$"):
        check_least("steps", 0, 1)
    check_positive("lr", 1e-300)
    for wrong in (0.0, -1.0, inf, nan):
        with pytest.raises(LimitError, match=rf"^lr must be a number above 0; got {wrong}$"):
            check_positive("lr", wrong)
