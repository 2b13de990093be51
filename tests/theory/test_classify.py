"""Regimes by the theorems, and networks that move as they say."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from parametrizations import HALF, drawn_stable_before_training, standard

from widthwise.theory import (
    Abc,
    Abcd,
    activation,
    classify,
    faithful_abcd,
    mfp,
    mup,
    mup_adam,
    named,
    ntp,
    ntp_adam,
    sp,
    sp_adam,
    toy,
    train,
    up,
)


def drawn(rng: random.Random) -> Abc:
    """Any parametrization, its exponents in quarters."""
    layers = rng.randint(2, 5)
    a, b, c = ([Fraction(rng.randint(-6, 6), 4) for _ in range(layers)] for _ in "abc")
    return Abc(a=a, b=b, c=c)


# (parametrization, r, regime, updated maximally, output initialized maximally)
TABLE: list[tuple[str, Abc, Any, str, str | None, bool | None]] = [
    *((f"SP c=0, {n}", standard(n, 0), r, "unstable", None, None) for n, r in ((1, 0), (2, -1))),
    ("SP c=0, 4", standard(4, 0), -1, "unstable", None, None),
    ("SP c=1/2, 2", standard(2, HALF), 0, "unstable", None, None),
    ("SP c=1, 1", sp(1), Fraction(3, 2), "kernel", "FT", False),
    ("SP c=1, 2", sp(2), HALF, "kernel", "FFT", True),
    ("SP c=1, 4", sp(4), HALF, "kernel", "FFFFT", True),
    ("SP c=2, 1", standard(1, 2), Fraction(5, 2), "trivial", "FF", False),
    ("SP c=2, 3", standard(3, 2), Fraction(3, 2), "trivial", "FFFF", False),
    *((f"NTP, {n}", ntp(n), HALF, "kernel", "F" * n + "T", True) for n in (1, 2, 5)),
    ("MFP", mfp(1), 0, "feature", "TT", True),
    *((f"muP, {n}", mup(n), 0, "feature", "T" * (n + 1), True) for n in (1, 2, 3, 7)),
    ("SP over root n, 2", standard(2, 0, HALF), 0, "feature", "FTT", True),
    ("SP over root n, 4", standard(4, 0, HALF), 0, "feature", "FTTTT", True),
    ("SP over root n, 1", standard(1, 0, HALF), 1, "kernel", "FT", False),
    (
        "NTP, slow output",
        Abc(a=(0, HALF, HALF), b=[0] * 3, c=(0, 0, 1)),
        HALF,
        "kernel",
        "FFF",
        True,
    ),
    (
        "muP, slow output",
        Abc(a=(-HALF, 0, HALF), b=[HALF] * 3, c=(0, 0, 1)),
        0,
        "feature",
        "TTF",
        True,
    ),
    ("naive MFP", Abc(a=(0, 1, 1), b=(0, 0, 0), c=[-1] * 3), 0, "unstable", None, None),
]


@pytest.mark.parametrize(("name", "one", "r", "regime", "updated", "largest"), TABLE)
def test_the_table_of_the_paper(
    name: str, one: Abc, r: Any, regime: str, updated: str | None, largest: bool | None
) -> None:
    found = classify(one)
    assert (found.r, found.regime) == (r, regime)
    assert found.r == min(found.r_layers)
    assert found.stable == (regime != "unstable")
    assert found.nontrivial == {"unstable": None, "trivial": False}.get(regime, True)
    shown = found.updated_maximally and "".join("FT"[x] for x in found.updated_maximally)
    assert (shown, found.initialized_maximally) == (updated, largest)


def test_r_of_each_layer() -> None:
    assert classify(sp(4)).r_layers == (Fraction(3, 2), HALF, HALF, HALF)
    assert classify(standard(2, HALF)).r_layers == (1, 0)
    assert classify(standard(2, 0, HALF)).r_layers == (1, 0)
    assert classify(Abc(a=(0, 1, 1), b=(0, 0, 0), c=[-1] * 3)).r_layers == (0, 1)


def test_the_first_table_is_what_the_names_are() -> None:
    assert mup(3) == Abc(a=(-HALF, 0, 0, HALF), b=[HALF] * 4, c=[0] * 4)
    assert ntp(2) == Abc(a=(0, HALF, HALF), b=[0] * 3, c=[0] * 3)
    assert sp(2) == Abc(a=[0] * 3, b=(0, HALF, HALF), c=[1] * 3)
    assert mfp(1).reparametrized(-HALF) == mup(1)
    assert named("\N{GREEK SMALL LETTER MU}P", 3) == mup(3)
    assert named("UP_1/4", 3) == up(Fraction(1, 4), 3)


def test_the_symmetry_changes_nothing_that_is_said() -> None:
    rng = random.Random(0)
    regimes = []
    for turn in range(1000):
        one = drawn(rng) if turn % 2 else drawn_stable_before_training(rng)
        theta = [Fraction(rng.randint(-9, 9), 6) for _ in one.a]
        found, again = classify(one), classify(one.reparametrized(theta))
        shifted_alike = classify(one.reparametrized(theta[0]))
        for field in set(vars(found)) - {"faults", "explanation"}:
            assert getattr(found, field) == getattr(again, field) == getattr(shifted_alike, field)
        assert found.explanation == again.explanation
        regimes.append(found.regime)
    assert set(regimes) == {"feature", "kernel", "trivial", "unstable"}


def test_the_dichotomy_and_what_a_maximal_update_is() -> None:
    """Stable and nontrivial: features or a kernel, never both; muP alone updates all maximally."""
    rng = random.Random(1)
    for _ in range(2000):
        one = drawn_stable_before_training(rng)
        found = classify(one)
        if found.regime in ("feature", "kernel"):
            assert (found.regime == "feature") == (found.r == 0)
        if found.regime and found.updated_maximally and all(found.updated_maximally):
            assert found.initialized_maximally == (
                one.with_multipliers(mup(one.hidden_layers).a) == mup(one.hidden_layers)
            )


@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_adam_of_the_second_paper(hidden: int) -> None:
    between = hidden - 1
    one = mup_adam(hidden)
    assert one == Abcd(
        a=(*[0] * hidden, 1),
        b=(0, *[HALF] * between, 0),
        c=(0, *[1] * between, 0),
        d=[1] * (hidden + 1),
    )
    found = classify(one)
    assert (found.regime, found.faithful, found.r) == ("feature", True, 0)
    assert found.updated_maximally == (True,) * (hidden + 1)
    tangent = ntp_adam(hidden)
    halves = (HALF, *[1] * between, HALF)
    assert tangent == Abcd(a=ntp(hidden).a, b=[0] * (hidden + 1), c=halves, d=halves)
    found = classify(tangent)
    assert (found.regime, found.faithful, found.r) == ("kernel", True, HALF)
    assert "perator" in found.explanation


def test_adam_on_the_standard_parametrization_is_unstable_by_the_theorem() -> None:
    """Features would be learned at r = 0, but the outputs blow up as the root of n."""
    found = classify(sp_adam(2))
    assert (found.r, found.regime, found.faithful) == (0, "unstable", True)
    assert found.faults == ("the moving features move the output by Theta(n^(1/2))",)


def test_adam_whose_input_is_not_of_order_one_is_not_decided() -> None:
    one = mup_adam(2)
    found = classify(Abcd(a=one.a, b=one.b, c=one.c, d=(0, 1, 1)))
    assert (found.regime, found.faithful, found.stable) == (None, False, True)
    assert found.nontrivial is found.updated_maximally is found.initialized_maximally is None
    assert "optimizer's input in layer 1 starts as Theta(n^-1)" in found.explanation
    late = faithful_abcd((0, 1), (0, "1/2"), (0, 0))
    assert "larger than they were" in classify(late).explanation


@pytest.mark.parametrize(
    ("one", "widths"),
    [
        (ntp(2), (128, 512)),
        (up(Fraction(1, 4), 2), (128, 512)),
        (mup(2), (128, 512)),
        (sp(2), (128, 512)),
        (standard(2, 0, HALF), (128, 512)),
        (standard(2, Fraction(3, 4)), (128, 512)),
    ],
)
def test_features_of_networks_move_as_r_says(one: Abc, widths: tuple[int, int]) -> None:
    """One small step, per unit of its error; a layer follows those before it: min of r_1 .. r_l.

    The window of 0.1 is four times the largest standard deviation of these slopes, 0.021, over
    other seeds, and some bias. Of the minimum in g, one step sees a + b only.
    """
    r_layers = classify(one).r_layers
    slopes = np.log(movement(one, widths[1], 100) / movement(one, widths[0], 0))
    slopes /= np.log(widths[1] / widths[0])
    expected = [-float(min(r_layers[: layer + 1])) for layer in range(len(r_layers))]
    np.testing.assert_allclose(slopes, expected, atol=0.1)


def movement(one: Abc, width: int, first_seed: int, seeds: int = 16) -> np.ndarray[Any, Any]:
    """How far each hidden layer's features go in a step so small that nothing saturates."""
    task = toy(lr=1e-6, steps=1)
    moved = []
    for seed in range(first_seed, first_seed + seeds):
        run = train(one, task, activation("tanh"), width=width, seed=seed)
        assert run.movement is not None
        moved.append(run.movement / abs(run.fitted[0, 0] - task.targets[0]))
    return np.asarray(np.mean(moved, axis=0))
