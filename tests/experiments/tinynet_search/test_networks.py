"""Networks of a search: means over seeds."""

from __future__ import annotations

import pytest
from search_trials import PHOTOS, trial

from widthwise.experiments.tinynet_search import SearchTrial, sentences_of
from widthwise.experiments.tinynet_search.findings import (
    tiny_findings,
)
from widthwise.experiments.tinynet_search.networks import best_nets, nets_of
from widthwise.experiments.tinynet_search.train import DRAWN


def test_means_are_over_seeds_and_a_failed_seed_takes_its_network_out() -> None:
    trials = [trial(DRAWN, 2e6, 0.4, seed=0), trial(DRAWN, 2e6, 0.6, seed=1)]
    (net,) = nets_of(trials)
    assert net.mean("test") == pytest.approx(0.5)
    assert net.right().shape == (2, PHOTOS)
    lost = SearchTrial(**{**vars(trials[1]), "quantities": {}, "reason": "diverged"})
    (net,) = nets_of([trials[0], lost])
    assert not net.is_trained
    assert best_nets([net]) == []
    found = tiny_findings([trials[0], lost], classes=10)
    assert "0 of 1 networks drawn were trained" in sentences_of(found)[0]
    assert any("Failed: tinynet drawn, seed 1: diverged" in said for said in sentences_of(found))
