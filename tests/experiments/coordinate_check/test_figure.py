"""The figure of a coordinate check: every layer with its interval."""

from __future__ import annotations

from planted_slopes import checked

from widthwise.experiments.coordinate_check import draw_coordinates


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
