"""The figure of a search: every training, the front, the floor and the multipliers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search_trials import trial

from widthwise.experiments.tinynet_search.figure import draw_search
from widthwise.experiments.tinynet_search.findings import tiny_findings
from widthwise.experiments.tinynet_search.train import DRAWN, FORMULA, INVERSE


def test_every_network_is_a_mark_and_the_front_is_ringed() -> None:
    trials = [trial(DRAWN, 2e6, share, seed=i) for i, share in enumerate((0.4, 0.6))]
    trials += [trial(DRAWN, 8e6, 0.8, depth=0.7), trial(INVERSE, 2e6, 0.3)]
    failed = replace(trial(FORMULA, 2e6, 0.5), quantities={}, reason="diverged")
    found = tiny_findings([*trials, failed], classes=10)
    accuracy, *multipliers = draw_search(found).axes
    marks = {str(line.get_label()): line for line in accuracy.lines}
    assert np.asarray(marks["drawn"].get_ydata()) == pytest.approx([50, 80])
    assert np.asarray(marks["drawn"].get_xdata()) == pytest.approx([2, 8])
    assert "formula" not in marks  # it failed
    faint = [line for line in accuracy.lines if line.get_alpha() == 0.35]
    assert [len(line.get_ydata()) for line in faint] == [2, 1, 1]
    ring = np.asarray(marks["front, by validation"].get_ydata())
    assert ring == pytest.approx([100 * net.mean("test") for net in found.front])
    assert np.asarray(marks["most frequent class"].get_ydata()) == pytest.approx([20, 20])
    titles = [axes.get_title(loc="left") for axes in multipliers]
    assert titles == ["resolution r", "depth d", "width w"]
    assert np.asarray(multipliers[1].lines[0].get_ydata()) == pytest.approx([0.5, 0.7])


def test_the_title_says_whether_there_is_a_formula() -> None:
    few = draw_search(tiny_findings([trial(DRAWN, 2e6, 0.5)], classes=10))
    assert any(text.get_text() == "1 networks drawn, no formula" for text in few.texts)
