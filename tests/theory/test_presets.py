"""Parametrizations by name."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    classify,
    mfp,
    mup,
    named,
    ntp,
    up,
)

HALF = Fraction(1, 2)


def test_uniform_parametrizations_lead_from_mup_to_ntp() -> None:
    for hidden in (1, 2, 5):
        assert (up(Fraction(0), hidden), up(HALF, hidden)) == (mup(hidden), ntp(hidden))
        for s in (Fraction(0), Fraction(1, 7), Fraction(1, 3), HALF):
            one = up(s, hidden)
            found = classify(one)
            assert found.r_layers == (s,) * hidden
            assert (2 * one.a[-1] + one.c[-1], one.a[-1] + one.b[-1]) == (1, 1 - s)
            assert found.regime == ("feature" if s == 0 else "kernel")
            assert found.initialized_maximally


def test_names_and_depths_that_do_not_exist_are_refused() -> None:
    with pytest.raises(LimitError, match="got 'ntk'"):
        named("ntk", 2)
    with pytest.raises(LimitError, match="sgd must be one of sp, ntp, mfp, mup"):
        named("", 2)
    with pytest.raises(LimitError, match="got 0"):
        named("mup", 0)
    with pytest.raises(LimitError, match="got 2: take mup"):
        mfp(2)
    with pytest.raises(LimitError, match="from 0 to 1/2; got 3/4"):
        named("up_3/4", 2)
    with pytest.raises(LimitError, match="for adam must be one of sp, ntp, mup"):
        named("up_1/4", 2, "adam")
    with pytest.raises(LimitError, match="one exponent for each of 3 layers; got 2"):
        mup(2).reparametrized((0, 1))


def test_every_name_is_at_most_as_deep_as_it_says() -> None:
    for shallow, deep in pairwise((1, 2, 3)):
        assert named("mup", deep).hidden_layers == named("mup", shallow).hidden_layers + 1
