"""Figures: floors, intervals, gaps and marks, asserted on the axes themselves."""

import base64
import statistics
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from report_records import TASKS, make_records, record, sweep_records

from widthwise.errors import RunError
from widthwise.figures import PAGE
from widthwise.findings import Front, FrontPoint, build_grid, cost_ratios, estimate_of
from widthwise.prune import CRITERIA, MOMENT_CRITERIA
from widthwise.report import (
    CRITERION_STYLE,
    plot_cost,
    plot_front,
    plot_qualities,
    plot_quality,
    plot_size,
    plot_speed,
    standalone_svg_uri,
    to_svg,
)
from widthwise.report.styles import OTHER_STYLE, style_in, style_of
from widthwise.report.svg import HEIGHT, panel
from widthwise.study import Record


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
    score = estimate_of(dense)
    assert score is not None
    assert (low, high) == pytest.approx(score.interval(), abs=1e-12)  # a bar is two half widths


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


def test_floor_is_named_beside_its_line() -> None:
    records = [replace(r, floor=0.5, floor_kind="always option 2") for r in of("piqa")]
    texts = [text.get_text() for text in plot_quality(records, panel()[1]).texts]
    assert "floor\n0.500" in texts


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
    assert {*CRITERIA, *MOMENT_CRITERIA} <= set(CRITERION_STYLE)
    styles = [*CRITERION_STYLE.values(), style_of(None), OTHER_STYLE]
    for field in ("color", "marker", "glyph"):
        assert len({getattr(style, field) for style in styles}) == len(styles)
    assert style_of("a new one") is style_of("a new one+refit") is OTHER_STYLE


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


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def priced(width: int, asked: str, items: tuple[float, ...], what: str = "8x4 ttft") -> Record:
    at = (None if asked == "dense" else "ppm", asked, width)
    told = {"workload": what.split()[0]}
    return record(at, what, "sec", statistics.median(items), n=5, items=items, settings=told)


def test_a_cost_is_its_ratio_to_dense_within_rounds() -> None:
    dense, cut = (1.0, 2.0, 4.0, 1.0, 1.0), (0.5, 1.0, 2.0, 0.6, 0.5)
    records = [priced(1536, "dense", dense), priced(912, "1.6x", cut)]
    (column,) = cost_ratios(records, "ttft").values()
    one, other = column.values()
    assert (one.value, one.standard_error) == (1.0, None)
    assert other.value == 0.5  # though the medians over rounds are 1.0 and 0.6
    ax = plot_cost(cost_ratios(records, "ttft"), "ttft", panel()[1])
    assert line(ax, "line-8x4") == [1.0, 0.5]
    ((low, high),) = bars(ax)["8x4"]
    assert low < 0.5 < high


def test_working_memory_is_the_one_that_was_counted() -> None:
    records = [priced(w, a, (w / 8.0,), "8x4 resident") for w, a in ((1536, "dense"), (768, "x"))]
    gone = {"value": None, "items": (), "reason": "no count is kept", "n": 0}
    records += [replace(r, quantity="8x4 allocated", cell="a" + r.cell, **gone) for r in records]
    (column,) = cost_ratios(records, "working").values()
    assert [found.value for found in column.values()] == [1.0, 0.5]


def test_costs_without_dense_or_of_other_rounds_have_no_ratio() -> None:
    assert cost_ratios([priced(912, "1.6x", (1.0, 1.0))], "ttft") == {}
    short = [priced(1536, "dense", (1.0, 1.0)), priced(912, "1.6x", (1.0,))]
    assert cost_ratios(short, "ttft") == {}


def test_studies_differ_by_colour_or_line_and_criteria_by_marker() -> None:
    looks = [style_in(place, "ppm") for place in range(21)]
    assert len({(style.color, style.line) for style in looks}) == len(looks)
    assert len({style.color for style in looks[:7]}) == 7
    assert style_in(0, "random").marker != style_in(0, "ppm").marker


def test_a_floor_that_studies_do_not_share_is_drawn_for_each() -> None:
    grids = {
        name: build_grid([replace(r, floor=floor) for r in of("piqa")])
        for name, floor in (("a", 0.4), ("b", 0.5))
    }
    ax = plot_qualities(grids, panel()[1])
    floors = [artist for artist in ax.lines if artist.get_gid() == "floor"]
    assert [artist.get_ydata()[0] for artist in floors] == [0.4, 0.5]
    assert len({artist.get_color() for artist in floors}) == 2


def front_point(label: str, cost: float, value: float, **rest: object) -> FrontPoint:
    told: dict[str, object] = {
        **{"cost_low": cost, "cost_high": cost, "low": value - 0.1, "high": value + 0.1},
        **{"floor": 0.25, "on_front": True, "sure": True, "criterion": "ppm", **rest},
    }
    return FrontPoint(label=label, cost=cost, value=value, **told)


def test_a_front_joins_what_is_on_it_and_marks_what_is_not_sure() -> None:
    points = (
        front_point("a", 1e8, 0.4),
        front_point("b", 1.5e8, 0.3, on_front=False),
        front_point("c", 2e8, 0.6, sure=False, low=None, high=None),
    )
    front = Front(
        **{"model": "m", "quality": "piqa", "cost": "bytes", "unit": "bytes"},
        **{"quality_unit": "accuracy", "lower_is_better": True, "points": points},
    )
    ax = plot_front(front, panel()[1])
    assert line(ax, "front") == [0.4, 0.6]
    assert line(ax, "floor") == [0.25, 0.25]
    faces = [c.lines[0].get_markerfacecolor() for c in ax.containers]
    assert faces == [CRITERION_STYLE["ppm"].color] * 2 + [PAGE]
    assert "bytes [MB]" in ax.get_xlabel()


def test_a_figure_is_a_file_of_its_own() -> None:
    figure, ax = panel()
    plot_quality(of("piqa"), ax)
    svg = to_svg(figure, name="x", title="a <title>", description="0.12345 in words")
    assert "var(--ink)" in svg
    assert "0.12345 in words" in svg
    assert "0.500" in svg  # the floor; only places lose digits
    kind, _, data = standalone_svg_uri(svg, [("●", "#0072b2", "a & b")]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(data))
    text = "".join(root.itertext())
    assert "a & b" in text
    assert "piqa" in text
    assert b"var(" not in base64.b64decode(data)
    assert root.get("viewBox", "").endswith(str(HEIGHT + 16))
