"""Reasons in words."""

from __future__ import annotations

from fractions import Fraction

import pytest
from parametrizations import HALF, standard

from widthwise.theory import (
    Abc,
    classify,
    up,
)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (standard(2, 0), r"features of layer 2 by Theta\(n\): r is -1; the update of the output"),
        (Abc(a=(0, 1, 1), b=(0, 0, 0), c=[-1] * 3), r"layer 2 vanish as n\^\(-1/2\)"),
        (Abc(a=(0, 0), b=(-1, "1/2"), c=(5, 5)), r"layer 1 blow up as n: a_1 \+ b_1 is -1, not 0"),
        (Abc(a=(0, 0), b=(0, 0), c=(5, 5)), r"output blows up as n\^\(1/2\)"),
        (up(Fraction(1, 4), 3), r"Kernel regime: features move by Theta\(n\^\(-1/4\)\)"),
        (
            standard(4, 0, HALF),
            "Of all layers, only layers 2 to 4 and the output layer are updated",
        ),
        (standard(2, 2), r"Trivial: one step moves the output by Theta\(n\^-1\)"),
    ],
)
def test_the_explanation_says_why(one: Abc, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(classify(one).explanation)
