"""Every criterion has a look of its own, on a light page and on a dark one."""

import re
from dataclasses import replace

import pytest
from drawn_axes import of

from widthwise.prune import CRITERIA, MOMENT_CRITERIA
from widthwise.report import (
    CRITERION_STYLE,
    plot_quality,
)
from widthwise.report.styles import OTHER_STYLE, meaning_of, style_in, style_of
from widthwise.report.svg import panel


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_every_criterion_has_a_style_of_its_own() -> None:
    assert {*CRITERIA, *MOMENT_CRITERIA} <= set(CRITERION_STYLE)
    styles = [*CRITERION_STYLE.values(), style_of(None), OTHER_STYLE]
    for field in ("color", "marker", "glyph"):
        assert len({getattr(style, field) for style in styles}) == len(styles)
    assert style_of("a new one") is style_of("a new one+refit") is OTHER_STYLE


def test_every_criterion_says_which_neurons_stay() -> None:
    for criterion in (*CRITERIA, *MOMENT_CRITERIA):
        assert re.fullmatch(rf"{criterion}: neurons that stay are \w.*\.", meaning_of(criterion))
    scaled = meaning_of("activation+refit+scales")
    assert scaled.endswith("; down_proj is refitted, and rows of the weights are scaled.")
    assert meaning_of("random~7").startswith("random: ")
    assert meaning_of("of another version") == ""


def test_a_refit_looks_like_no_criterion_that_is_only_cut() -> None:
    """By its marker, so also without colours; a seed has no look of its own."""
    cut = {style_of(name).marker for name in (*CRITERIA, *MOMENT_CRITERIA)}
    for name in (*CRITERIA, *MOMENT_CRITERIA):
        refitted = style_of(f"{name}+refit")
        assert refitted.marker not in cut
        assert refitted.glyph != style_of(name).glyph
        assert refitted is not OTHER_STYLE
    assert style_of("random~7+refit") == style_of("random+refit") != style_of("random")
    cut = [r for r in of("prose") if r.criterion != "random"]
    for name in ("l2", "ppm", "random", "obs"):  # and it can be drawn
        named = [replace(r, criterion=r.criterion and f"{name}+refit") for r in cut]
        plot_quality(named, panel()[1])


@pytest.mark.parametrize("page", ["#ffffff", "#15171a"])
def test_colours_stand_out_on_both_pages(page: str) -> None:
    """WCAG 2.2 asks for a contrast of 3 in graphics (success criterion 1.4.11)."""
    for name, style in CRITERION_STYLE.items():
        high, low = sorted((luminance(style.color), luminance(page)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3, name


def test_studies_differ_by_colour_or_line_and_criteria_by_marker() -> None:
    looks = [style_in(place, "ppm") for place in range(21)]
    assert len({(style.color, style.line) for style in looks}) == len(looks)
    assert len({style.color for style in looks[:7]}) == 7
    assert style_in(0, "random").marker != style_in(0, "ppm").marker
