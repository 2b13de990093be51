"""The report of a search as text."""

from __future__ import annotations

from search_trials import drawn, trial

from widthwise.experiments.tinynet_search import search_text
from widthwise.experiments.tinynet_search.findings import (
    tiny_findings,
)
from widthwise.experiments.tinynet_search.train import FORMULA, INVERSE


def test_the_text_says_the_floor_the_seeds_and_no_more_than_intervals_carry() -> None:
    trials = [*drawn(), trial(FORMULA, 2e6, 0.5), trial(INVERSE, 2e6, 0.5)]
    text = search_text(tiny_findings(trials, classes=10), ["3 photos left out: a; b; c"])
    assert "each with 1 seed;" in text
    assert "the most frequent class alone gets 20.0 %" in text
    assert "beside inverse compound scaling: 0.0 points, no interval: a single run" in text
    assert "- 3 photos left out: a; b; c" in text
    assert text.count("\n| drawn") == 24
