"""Holm by hand, floors, and the rule for words as a table."""

import pytest

from widthwise.errors import RunError
from widthwise.stats import Difference, Estimate, beats_floor, holm, verdict

HIGH = Estimate(value=0.50, standard_error=0.05, n=100)  # interval .402 to .598
UP = Difference(value=0.10, low=0.04, high=0.16, n=100, p_value=0.001)
DOWN = Difference(value=-0.10, low=-0.16, high=-0.04, n=100, p_value=0.001)
FLAT = Difference(value=0.02, low=-0.04, high=0.08, n=100, p_value=0.6)
TOUCHES = Difference(value=0.05, low=0.0, high=0.1, n=100, p_value=0.04)
FEW = Difference(value=-1.0, low=-1.0, high=-1.0, n=2, p_value=0.5)


@pytest.mark.parametrize(
    ("difference", "floor", "higher_is_better", "expected"),
    [
        (UP, 0.25, True, "improves"),
        (DOWN, 0.25, True, "degrades"),
        (FLAT, 0.25, True, "no change shown"),
        (TOUCHES, 0.25, True, "no change shown"),
        (FEW, 0.25, True, "no change shown"),
        (None, 0.25, True, "no change shown"),
        (UP, 0.41, True, "at the floor"),  # inside the interval
        (UP, 0.62, True, "at the floor"),  # above the score
        (DOWN, 0.41, True, "at the floor"),
        (None, 0.41, True, "at the floor"),
        (UP, None, True, "improves"),
        (UP, None, False, "degrades"),
        (DOWN, None, False, "improves"),
        (DOWN, 0.9, False, "improves"),
        (DOWN, 0.55, False, "at the floor"),
        (DOWN, 0.25, False, "at the floor"),
    ],
)
def test_verdict_follows_its_rule(
    difference: Difference | None, floor: float | None, higher_is_better: bool, expected: str
) -> None:
    found = verdict(difference, score=HIGH, floor=floor, higher_is_better=higher_is_better)
    assert found == expected


def test_verdict_takes_the_adjusted_p_value() -> None:
    found = verdict(UP, score=HIGH, floor=None, higher_is_better=True, p_value=0.06)
    assert found == "no change shown"


def test_score_without_error_beats_no_floor() -> None:
    alone = Estimate(value=1.0, standard_error=None, n=1)
    assert not beats_floor(alone, 0.25, higher_is_better=True)
    assert beats_floor(alone, None, higher_is_better=True)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ((), ()),
        ((0.03,), (0.03,)),
        # Holm by hand: .005·4, .01·3, .03·2, .04·1 raised to the .06 before it.
        ((0.01, 0.04, 0.03, 0.005), (0.03, 0.06, 0.06, 0.02)),
        ((0.5, 0.5, 0.9), (1.0, 1.0, 1.0)),
    ],
)
def test_holm_matches_hand(p_values: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert holm(p_values) == pytest.approx(expected, rel=1e-12)  # rounding of one product


def test_holm_refuses_what_is_not_a_p_value() -> None:
    with pytest.raises(RunError, match=r"in \[0, 1\]; got 1.5"):
        holm([0.1, 1.5])
