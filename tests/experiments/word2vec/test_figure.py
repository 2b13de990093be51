"""The figure of word2vec runs: accuracy by epochs, and by width beside the limit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from word2vec_results import result

from widthwise.experiments.word2vec.figure import draw_runs
from widthwise.experiments.word2vec.summary import summary

CURVE = ((0.25, 2.0), (0.5, 1.0))


def test_widths_have_intervals_and_the_limit_a_band() -> None:
    runs = [
        replace(result("1100"), curve=CURVE),
        replace(result("1110", 32), curve=CURVE),
        replace(result("1111", None), curve=CURVE),
        replace(result("0000", None), network="ntk"),
        replace(result("0000", None), network="gp"),
        result(None, 64),
    ]
    left, right = draw_runs(runs).axes
    assert [str(line.get_label()) for line in left.lines] == ["width 8", "width 32", "limit"]
    assert np.asarray(left.lines[0].get_ydata()) == pytest.approx([25, 50])
    bars = [c for c in right.containers if isinstance(c, ErrorbarContainer)]
    rows = [row for row in summary(runs) if row.run.width and row.interval is not None]
    for bar, row in zip(bars, rows, strict=True):
        (segment,) = bar.lines[2][0].get_segments()
        assert segment[:, 0] == pytest.approx([row.run.width] * 2)
        assert segment[:, 1] == pytest.approx([100 * end for end in row.interval])
    labels = right.get_legend_handles_labels()[1]
    assert labels == ["limit", "NTK and GP"]  # kernels that lie on each other are one line
    assert len(right.patches) == 1


def test_without_a_score_there_is_nothing_but_a_frame() -> None:
    figure = draw_runs([result(None)])
    left, right = figure.axes
    assert not left.lines
    assert right.get_legend() is None
    assert any(text.get_text().startswith("0 questions whose words") for text in figure.texts)
