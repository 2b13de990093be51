"""Figures of sizes and speeds beside dense."""

import statistics

import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from report_records import make_records

from widthwise.errors import RunError
from widthwise.report import (
    plot_size,
    plot_speed,
)
from widthwise.report.svg import panel
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
