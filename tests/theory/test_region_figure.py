"""The drawing of regions marks the parametrization."""

from __future__ import annotations

from fractions import Fraction

import pytest

from widthwise.theory import Abc, draw_region, mup, up


@pytest.mark.parametrize(
    ("one", "panel", "place"),
    [
        (mup(3), 0, (1.0, 0.0)),
        (up(Fraction(1, 4), 2), 0, (0.75, 0.25)),
        (Abc(a=[0] * 3, b=(0, "1/2", "1/2"), c=[2] * 3), 1, (0.5, 1.5)),
        (Abc(a=(0, "1/2", 0), b=(0, 0, 1), c=(-2, -2, 1)), 0, (1.0, -1.0)),
        (Abc(a=[0] * 3, b=(0, "1/2", "1/2"), c=[0] * 3), None, None),
        (Abc(a=(0, 1, 1), b=[0] * 3, c=[-1] * 3), None, None),
    ],
)
def test_the_picture_marks_the_parametrization(
    one: Abc, panel: int | None, place: tuple[float, float] | None
) -> None:
    """A diamond or a cross in the right plane, within its limits; a word where there is none."""
    figure = draw_region(one, "it")
    marks = [
        (index, tuple(float(v[0]) for v in line.get_data()))
        for index, axes in enumerate(figure.axes)
        for line in axes.lines
        if line.get_marker() in ("D", "X")
    ]
    assert marks == ([] if panel is None else [(panel, place)])
    for index, (x, y) in marks:
        low, high = figure.axes[index].get_xlim(), figure.axes[index].get_ylim()
        assert low[0] < x < low[1]
        assert high[0] < y < high[1]
    said = " ".join(text.get_text() for text in figure.texts)
    assert ("In neither plane" in said) == (panel is None)
