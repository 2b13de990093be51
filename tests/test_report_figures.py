"""Figures: floors, intervals, gaps and marks, asserted on the axes themselves."""

import statistics
from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from report_records import TASKS, make_records, sweep_records

from widthwise.errors import RunError
from widthwise.prune.importance import CRITERIA
from widthwise.report import CRITERION_STYLE, plot_quality, plot_size, plot_speed
from widthwise.report.figures import OTHER_STYLE, panel, style_of
from widthwise.study.records import Record


def of(quantity: str) -> list[Record]:
    return [r for r in make_records() if r.quantity == quantity]


def line(ax: Axes, gid: str) -> list[float]:
    (found,) = [artist for artist in ax.lines if artist.get_gid() == gid]
    return [float(y) for y in found.get_ydata()]


def bars(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Lower and upper ends of the interval of every point, by label."""
    return {
        c.get_label(): [(s[0][1], s[1][1]) for s in c.lines[2][0].get_segments()]
        for c in ax.containers
        if isinstance(c, ErrorbarContainer)
    }


@pytest.mark.parametrize("quantity", [*TASKS, "prose"])
def test_quality_shows_floor_and_intervals(quantity: str) -> None:
    records = of(quantity)
    ax = plot_quality(records, panel()[1])
    assert line(ax, "floor") == [records[0].floor] * 2
    assert any(f"{records[0].floor:.3f}" in text.get_text() for text in ax.texts)
    drawn = bars(ax)
    assert {name: len(ends) for name, ends in drawn.items()} == {"dense": 1, "ppm": 6, "random": 6}
    low, high = drawn["dense"][0]
    dense = records[0]
    assert (low, high) == pytest.approx(
        (dense.value - 1.96 * dense.standard_error, dense.value + 1.96 * dense.standard_error),
        rel=1e-4,  # 1.96 for 1.959964
    )


def test_quality_axis_falls_from_dense_on_the_left() -> None:
    ax = plot_quality(of("piqa"), panel()[1])
    left, right = ax.get_xlim()
    assert left > 1536 / 576 > 608 / 576 > right
    assert "I/H" in ax.get_xlabel()
    assert "2.67" in [label.get_text() for label in ax.get_xticklabels()]


def test_missing_value_breaks_the_line() -> None:
    gone = {"value": None, "standard_error": None, "items": (), "reason": "killed"}
    records = [replace(r, **gone) if r.asked == "1.6x" else r for r in of("piqa")]
    ys = line(plot_quality(records, panel()[1]), "line-ppm")
    assert [y != y for y in ys] == [False, False, False, False, True, False, False]


def test_quality_without_floor_draws_none() -> None:
    records = [replace(r, floor=None, floor_kind=None) for r in of("piqa")]
    ax = plot_quality(records, panel()[1])
    assert [artist for artist in ax.lines if artist.get_gid() == "floor"] == []


def sweep(quantity: str) -> list[Record]:
    return [r for r in sweep_records() if r.quantity == quantity]


def test_a_perplexity_that_spans_tenfold_is_drawn_on_a_log_scale() -> None:
    ax = plot_quality(sweep("wikitext"), panel()[1])
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    values = [r.value for r in sweep("wikitext") if r.value]
    assert 0 < low < min(values) < max(values) < high < 10 * max(values)
    assert any("log scale" in text.get_text() for text in ax.texts)
    assert line(ax, "floor") == [412.0, 412.0]
    near = [replace(r, value=20.0 + r.width / 1000, floor=190.0) for r in sweep("wikitext")]
    assert plot_quality(near, panel()[1]).get_yscale() == "linear"
    assert plot_quality(of("prose"), panel()[1]).get_yscale() == "linear"
    assert plot_quality(of("piqa"), panel()[1]).get_yscale() == "linear"


def test_an_interval_down_to_0_leaves_a_log_scale_its_range() -> None:
    values = [r.value for r in sweep("wikitext") if r.value]
    for share in (0.51021, 2.0):  # of the value: an interval that ends just above 0, and below
        wide = [replace(r, standard_error=share * r.value) for r in sweep("wikitext") if r.value]
        low, _ = plot_quality(wide, panel()[1]).get_ylim()
        assert low > min(values) / 100


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("chance", ["chance"]),
        ("always option 2", ["always", "option 2"]),
        ("the prompt echoed 10 times", ["the prompt", "echoed 10", "times"]),
        ("always 'a very long answer that is right more often'", None),
    ],
)
def test_floor_is_named_after_its_answerer(kind: str, lines: list[str] | None) -> None:
    records = [replace(r, floor=0.5, floor_kind=kind) for r in of("piqa")]
    (text,) = (
        t.get_text() for t in plot_quality(records, panel()[1]).texts if "0.500" in t.get_text()
    )
    said = text.split("\n")
    assert said[-1] == "0.500"
    assert max(map(len, said)) <= 13
    if lines is not None:
        assert said[:-1] == lines
    else:
        assert len(said) == 5
        assert said[3].endswith("…")


def test_a_missing_dense_score_leaves_the_floor() -> None:
    ax = plot_quality(sweep("mmlu"), panel()[1])
    assert line(ax, "floor") == [0.25, 0.25]


def test_speed_is_a_ratio_to_dense_with_intervals_and_repeats() -> None:
    records = of("decode")
    ax = plot_speed(records, panel()[1])
    ys = line(ax, "line-ppm")
    assert ys[0] == 1.0
    dense = records[0].items
    paired = [[a / b for a, b in zip(r.items, dense, strict=True)] for r in records[1:]]
    assert ys[1:] == pytest.approx([statistics.median(ratios) for ratios in paired])
    assert all(low < high for low, high in bars(ax)["ppm"])
    repeats = [artist for artist in ax.lines if artist.get_label() == "_repeats"]
    assert sum(len(artist.get_ydata()) for artist in repeats) == sum(r.n for r in records[1:])


def test_size_is_exact_and_starts_at_one() -> None:
    ax = plot_size([*of("parameters"), *of("bytes")], panel()[1])
    drawn = {artist.get_label(): list(artist.get_ydata()) for artist in ax.lines}
    assert drawn["parameters"][-1] == drawn["bytes"][-1] == 1.0
    assert len(drawn["parameters"]) == 7
    assert ax.get_legend() is not None


def test_costs_without_dense_are_refused() -> None:
    with pytest.raises(RunError, match="decode has no dense record"):
        plot_speed(of("decode")[1:], panel()[1])
    with pytest.raises(RunError, match="parameters has no dense record"):
        plot_size(of("parameters")[1:], panel()[1])


def test_one_figure_takes_one_quantity() -> None:
    with pytest.raises(RunError, match="shows one quantity; got piqa, prose"):
        plot_quality([*of("piqa"), *of("prose")], panel()[1])


def test_every_criterion_has_a_style_of_its_own() -> None:
    assert set(CRITERION_STYLE) == set(CRITERIA)
    styles = [*CRITERION_STYLE.values(), style_of(None), OTHER_STYLE]
    for field in ("color", "marker", "glyph"):
        assert len({getattr(style, field) for style in styles}) == len(styles)
    assert style_of("a new one") is OTHER_STYLE


@pytest.mark.parametrize("page", ["#ffffff", "#15171a"])
def test_colours_stand_out_on_both_pages(page: str) -> None:
    """WCAG 2.2 asks for a contrast of 3 in graphics (success criterion 1.4.11)."""
    for name, style in CRITERION_STYLE.items():
        high, low = sorted((luminance(style.color), luminance(page)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3, name


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
