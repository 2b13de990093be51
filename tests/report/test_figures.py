"""Figures: floors, intervals, gaps and marks, asserted on the axes themselves."""

from dataclasses import replace

import pytest
from drawn_axes import bars, line, of
from report_records import TASKS, sweep_records

from widthwise.errors import RunError
from widthwise.figures import PAGE
from widthwise.findings import Front, FrontPoint, build_grid, estimate_of
from widthwise.report import (
    CRITERION_STYLE,
    plot_front,
    plot_qualities,
    plot_quality,
)
from widthwise.report.svg import panel
from widthwise.study import Record


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


def test_one_figure_takes_one_quantity() -> None:
    with pytest.raises(RunError, match="shows one quantity; got piqa, prose"):
        plot_quality([*of("piqa"), *of("prose")], panel()[1])


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
    speed = replace(front, cost="64x8x1 throughput", unit="tokens_per_sec")
    assert plot_front(speed, panel()[1]).get_xlabel() == "64x8x1 tokens/s"
