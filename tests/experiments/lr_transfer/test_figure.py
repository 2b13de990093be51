"""The figure of learning-rate transfer: every run, and the best rate where it is known."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from matplotlib.lines import Line2D
from planted_losses import RATES, planted

from widthwise.experiments.lr_transfer import draw_transfer


def test_every_run_is_drawn_and_a_diamond_at_the_best_rate() -> None:
    shift = planted(-0.5)
    figure = draw_transfer([shift], "what was trained")
    (axes,) = figure.axes
    lines = list(axes.lines)
    runs = [line for line in lines if line.get_alpha() == 0.35]
    assert [len(line.get_xdata()) for line in runs] == [len(RATES)] * 3 * 4
    diamonds = [line for line in lines if line.get_marker() == "D"]
    at = [log2(float(np.asarray(line.get_xdata()).item())) for line in diamonds]
    assert at == pytest.approx([-5.3 - 0.5 * k for k in range(3)])
    named = [line.get_label() for line in lines if not str(line.get_label()).startswith("_")]
    assert named == ["64", "128", "256"]
    assert axes.get_title(loc="left").startswith("muP\nthe best learning rate shifts")
    assert "what was trained" in [text.get_text() for text in figure.texts]


def means(lines: list[Line2D]) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata()) for line in lines if line.get_lw() == 1.8]


def test_runs_that_diverged_are_left_out() -> None:
    beside = planted(0.0, middle=-4.9, diverged=(2.0**-4, 2.0**-3))
    nothing = planted(0.0, diverged=RATES)
    left, right = draw_transfer([beside, nothing], "note").axes
    assert [np.isfinite(mean).sum() for mean in means(list(left.lines))] == [4] * 3
    assert [np.isfinite(mean).sum() for mean in means(list(right.lines))] == [0] * 3
    assert not [line for axes in (left, right) for line in axes.lines if line.get_marker() == "D"]
    assert left.get_ylim() == right.get_ylim()
    low, high = left.get_ylim()
    assert 0 < low < high
