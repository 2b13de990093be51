"""The figure of meta-learning runs: validation by steps, tests by width."""

from __future__ import annotations

import numpy as np
import pytest
from maml_results import result

from widthwise.experiments.maml.figure import draw_runs

RESULTS = [
    result(0.4, width=8),
    result(0.6, width=8, seed=1),
    result(0.8, width=32),
    result(None, width=128),
    result(0.9, "limit"),
    result(0.7, "ntk"),
]


def test_a_line_a_network_and_marks_by_width() -> None:
    left, right = draw_runs(RESULTS).axes
    curves = {str(line.get_label()): np.asarray(line.get_ydata()) for line in left.lines}
    assert set(curves) == {"width 8", "width 32", "limit", "ReLU NTK"}  # none of what failed
    assert curves["width 8"] == pytest.approx([20, 50])
    marks = [
        (int(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in right.lines
        if line.get_marker() == "o" and line.get_alpha() is None
    ]
    assert marks == [(8, pytest.approx(50)), (32, pytest.approx(80))]
    faint = [np.asarray(line.get_ydata()) for line in right.lines if line.get_alpha() == 0.4]
    assert [len(seeds) for seeds in faint] == [2, 1]
    levels = [
        float(np.asarray(line.get_ydata())[0])
        for line in right.lines
        if line.get_marker() in ("", "None")
    ]
    assert levels == pytest.approx([90, 70])


def test_published_accuracies_are_crosses_where_a_width_has_one() -> None:
    right = draw_runs(RESULTS, paper={"width 32": 0.75, "limit": 0.9}).axes[1]
    crosses = [line for line in right.lines if line.get_marker() == "x"]
    assert [float(np.asarray(line.get_ydata()).item()) for line in crosses] == [75.0]


def test_without_a_score_the_figure_is_empty_and_says_so() -> None:
    figure = draw_runs([result(None, width=8)])
    assert not figure.axes[0].lines
    assert any("Means over 0 seeds." in text.get_text() for text in figure.texts)


def test_relu_networks_are_squares_of_their_own_and_the_task_is_in_the_title() -> None:
    runs = [*RESULTS, result(0.6, "relu", 32), result(0.7, "relu", 128)]
    figure = draw_runs(runs, ways=20, shots=5)
    left, right = figure.axes
    assert {"ReLU width 32", "ReLU width 128"} <= {str(line.get_label()) for line in left.lines}
    squares = [
        (int(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in right.lines
        if line.get_marker() == "s" and line.get_alpha() is None
    ]
    assert squares == [(32, pytest.approx(60)), (128, pytest.approx(70))]
    assert any("20-way 5-shot" in text.get_text() for text in figure.texts)
