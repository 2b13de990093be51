"""What may be said of a search: made-up trials whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from search_trials import drawn, trial

from widthwise.experiments.tinynet_search import search_text
from widthwise.experiments.tinynet_search.findings import (
    accuracy_difference,
    tiny_findings,
)
from widthwise.experiments.tinynet_search.networks import nets_of
from widthwise.experiments.tinynet_search.train import DRAWN, FORMULA, INVERSE


def test_networks_are_chosen_by_validation_and_reported_by_test() -> None:
    """One network is best by validation and worst by test: it is chosen, and shown as it is."""
    trials = [trial(DRAWN, 2e6, 0.5, depth=0.1 * i + 0.1) for i in range(9)]
    trials += [trial(DRAWN, 2e6, 0.3, validation=0.9, depth=2.0)]
    trials += [trial(FORMULA, 2e6, 0.5)]
    found = tiny_findings(trials, classes=10)
    assert [net.network["depth"] for net in found.front] == [2.0]
    assert 2.0 in [net.network["depth"] for net in found.behind]
    best = found.besides[-1]
    assert best.other == "the best random network by validation"
    assert best.value == pytest.approx(0.2)


def test_networks_that_were_not_drawn_by_chance_are_no_baseline() -> None:
    trials = [*drawn(), trial(FORMULA, 2e6, 0.5), trial(INVERSE, 2e6, 0.5)]
    names = [one.other for one in tiny_findings(trials, classes=10, is_chance=False).besides]
    assert names == ["inverse compound scaling", "the best network drawn by validation"]


def test_the_formula_beside_three_others_has_p_of_holm() -> None:
    """Beside the best random network p is .049 by itself, and .099 as the second of three."""
    trials = [trial(FORMULA, 2e6, share, seed=i) for i, share in enumerate((0.80, 0.82))]
    trials += [trial(INVERSE, 2e6, share, seed=i) for i, share in enumerate((0.50, 0.70))]
    for depth, shares in ((0.1, (0.60, 0.62)), (0.2, (0.66, 0.72)), (0.3, (0.62, 0.64))):
        trials += [trial(DRAWN, 2e6, x, seed=i, depth=depth) for i, x in enumerate(shares)]
    found = tiny_findings(trials, classes=10)
    answers = [net.right() for net in nets_of(trials)]
    ours, inverse, best = answers[0], answers[1], answers[3]
    by_chance = np.array([net.mean(0) for net in answers[2:]])
    raw = [
        accuracy_difference({2e6: ours}, {2e6: x}, "").p_value for x in (inverse, by_chance, best)
    ]
    assert raw == pytest.approx([0.2372, 0.0047, 0.0493], abs=5e-5)
    inverse_p, chance_p, best_p = (one.p_value for one in found.besides)
    assert (inverse_p, chance_p, best_p) == pytest.approx((raw[0], 3 * raw[1], 2 * raw[2]))
    assert [one.verdict for one in found.besides] == [
        *("no difference shown", "better", "no difference shown"),
    ]
    text = search_text(found)
    assert "The formula beside a random network: better, +16.7 points" in text
    assert "p 0.014" in text
    assert "p 0.099" in text
