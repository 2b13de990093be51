"""Figures of sizes and speeds beside dense."""

import statistics

import pytest
from drawn_axes import bars, line, of

from widthwise.errors import RunError
from widthwise.report import (
    plot_size,
    plot_speed,
)
from widthwise.report.svg import panel


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
