"""What figures have in common."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from widthwise.figures import FEATURE, line_styles, mark_widths, style_axes


@pytest.mark.parametrize("grid", [True, False])
def test_axes_are_dressed(grid: bool) -> None:
    axes = Figure().subplots()
    style_axes(axes, "above", "below", size=9, grid=grid)
    assert (axes.get_title(loc="left"), axes.get_xlabel()) == ("above", "below")
    assert axes.title.get_text() == ""
    assert [side for side, spine in axes.spines.items() if spine.get_visible()] == ["bottom"]
    assert axes.get_ygridlines()[0].get_visible() == grid
    assert not axes.get_xgridlines()[0].get_visible()


def test_each_width_has_a_tick_and_no_other_place_has() -> None:
    axes = Figure().subplots()
    mark_widths(axes, [])
    assert axes.get_xscale() == "linear"
    mark_widths(axes, [64, 1024])
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "1,024"]
    assert len(axes.get_xticks(minor=True)) == 0


def test_wider_is_darker_whatever_the_order_and_the_limit_stands_apart() -> None:
    looks = line_styles([256, None, 8, 64, 8])
    assert set(looks) == {None, 8, 64, 256}
    light = [sum(looks[width]["color"]) for width in (8, 64, 256)]
    assert light[0] > light[1] > light[2]
    assert looks[None]["color"] == FEATURE
    assert line_styles([8])[8] == looks[8]
    assert set(line_styles([])) == {None}
