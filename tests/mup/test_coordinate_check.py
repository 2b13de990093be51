"""The coordinate check: planted slopes, muP against the standard parametrization, refusals."""

from __future__ import annotations

import pytest
from planted_slopes import checked, planted

from widthwise.errors import LimitError
from widthwise.mup import coordinate_check, glu_config


@pytest.mark.parametrize(
    ("power", "noise", "verdict"),
    [
        (0.0, 0.02, "pass"),
        (0.5, 0.02, "fail"),
        (-0.5, 0.02, "fail"),
        (0.15, 0.02, "undecided"),  # on the edge of the margin
        (0.0, 0.5, "undecided"),  # nothing can be said
    ],
)
def test_a_planted_slope_is_found(power: float, noise: float, verdict: str) -> None:
    found = checked(power, noise)
    low, high = found.interval(0)
    assert low <= power <= high
    assert found.layers == ("0",)
    assert found.verdict(0) == found.overall_verdict == verdict


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(LimitError, match="at least two numbers above 0, ascending"):
        checked(0.0, widths=(16,))
    with pytest.raises(LimitError, match="at least 2 seeds"):
        checked(0.0, seeds=1)
    with pytest.raises(LimitError, match="steps must be at least 1"):
        checked(0.0, steps=0)
    with pytest.raises(LimitError, match="at width 16 the output of 0 did not in 2 steps"):
        coordinate_check(planted(-400.0), widths=(16, 32), seeds=2, steps=2)
    with pytest.raises(LimitError, match="must stay finite; at width 16"):
        coordinate_check(planted(31.9), widths=(16, 32), seeds=2, steps=2)  # past float32
    with pytest.raises(LimitError, match="multiple of 16; got 40"):
        glu_config(40)


def test_the_share_of_networks_that_are_trained_is_told() -> None:
    told: list[float] = []
    coordinate_check(planted(0.5), widths=(16, 32), seeds=2, steps=1, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]
