"""The coordinate check: planted slopes, muP against the standard parametrization, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from widthwise.errors import LimitError
from widthwise.experiments.coordinate_check import draw_coordinates
from widthwise.mup import CoordinateCheck, TrainingSetup, coordinate_check, glu_config


def planted(power: float, noise: float = 0.02) -> Any:
    """A network whose one layer moves by the width to a power, give or take some noise."""

    def start(width: int, seed: int) -> TrainingSetup:
        layer = nn.Linear(1, 1, bias=False)
        spread = float(torch.randn((), generator=torch.Generator().manual_seed(seed)))
        lr = width**power * (1 + noise * spread)
        model = nn.Sequential(layer)
        return TrainingSetup(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=lr),
            loss=lambda: model(torch.ones(1, 1)).sum(),
        )

    return start


def checked(power: float, noise: float = 0.02, **changes: Any) -> CoordinateCheck:
    asked = {"widths": (16, 32, 64, 128), "seeds": 3, "steps": 2, **changes}
    return coordinate_check(planted(power, noise), **asked)


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


def test_the_figure_shows_every_layer_with_its_interval() -> None:
    found = checked(0.0)
    left, right = draw_coordinates(found, "it").axes
    (name,) = left.get_yticklabels()
    assert name.get_text() == "0  1"  # the module called 0 is layer 1
    (number,) = [text for text in right.texts if text.get_text() == "1"]
    colors = [line.get_color() for line in (*left.lines[1:], *right.lines)]
    assert {number.get_color(), name.get_color(), *colors} == {"#0072b2"}  # none is grey
    assert all(axes.get_title(loc="left") and axes.get_xlabel() for axes in (left, right))
    assert right.get_ylabel() == "root mean square change of the output"
    spans = [tuple(line.get_xdata()) for line in left.lines if len(line.get_xdata()) == 2]
    assert found.interval(0) in spans
    assert any(len(line.get_ydata()) == 12 for line in right.lines)  # all runs


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
