"""What may be said of a search: made-up trials whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from widthwise.errors import RunError
from widthwise.experiments.tinynet_search import SearchTrial, search_text, sentences_of
from widthwise.experiments.tinynet_search.findings import (
    accuracy_difference,
    multipliers_of,
    proxy_correlation,
    tiny_findings,
)
from widthwise.experiments.tinynet_search.findings.multipliers import claim_of
from widthwise.experiments.tinynet_search.networks import best_nets, nets_of
from widthwise.experiments.tinynet_search.train import DRAWN, FORMULA, INVERSE
from widthwise.experiments.tinynet_search.trials import Metric, TrialJob

PHOTOS = 50


def trial(
    experiment: str, budget: float, accuracy: float, *, seed: int = 0, **changed: Any
) -> SearchTrial:
    """A training whose test accuracy is near a share, and whose validation is that or given."""
    validation = changed.pop("validation", accuracy)
    network = {
        **dict.fromkeys(("resolution", "depth", "width"), 0.5),
        **{"family": "efficientnet-96", "pixels": 48, "parameters": 1000, "macs": int(budget)},
        **changed,
        "asked_macs": budget,
    }
    job = TrialJob(experiment=experiment, network=network, settings={}, seed=seed)
    quantities = {"parameters": Metric(value=network["parameters"], unit="log")}
    quantities["synflow"] = Metric(value=10 * accuracy, unit="log")
    for name, share in (("validation", validation), ("test", accuracy)):
        right = [int(i < round(share * PHOTOS)) for i in range(PHOTOS)]
        quantities[name] = Metric.share(right, floor=0.2)
    return SearchTrial(
        key=job.key,
        experiment=experiment,
        network=network,
        settings={},
        seed=seed,
        quantities=quantities,
        duration_sec=3.0,
    )


def drawn(n: int = 24) -> list[SearchTrial]:
    """Networks of two budgets, more accurate the higher their resolution, at the width's cost."""
    chance = np.random.default_rng(0)
    found = []
    for number in range(n):
        budget, r, d = (2e6, 8e6)[number % 2], chance.uniform(0.4, 1), chance.uniform(0.4, 1)
        accuracy = 0.3 + 0.3 * r + 0.02 * (budget > 5e6) + 0.02 * chance.normal()
        network = {"resolution": r, "depth": d, "width": 1.5 - r, "parameters": number + 1}
        found.append(trial(DRAWN, budget, accuracy, **network))
    return found


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


def test_a_multiplier_that_matters_is_found_and_the_claim_judged() -> None:
    found = {m.name: m for m in multipliers_of(nets_of(drawn()))}
    assert found["resolution"].at_cost.low > 0.5
    assert found["width"].at_cost.high < -0.5
    assert abs(found["depth"].at_cost.value) < found["resolution"].at_cost.value
    assert found["resolution"].over_width is not None
    assert found["resolution"].over_width.low > 0
    assert found["width"].over_width is None
    assert claim_of(tuple(found.values())) in ("holds here", "is shown of resolution alone")


def test_a_step_from_budget_to_budget_is_no_correlation_at_the_same_cost() -> None:
    """Accuracy goes by the budget alone, and so does some of the width. The mean of 200 searches of
    24 networks is within 3 standard errors, 0.22 / sqrt(200) each, of 0; by multiply-adds, which
    within a budget are rounding, it was +0.29."""
    found, misses = [], 0
    for seed in range(200):
        chance = np.random.default_rng(seed)
        nets = []
        for number in range(24):
            budget, r, d = (2e6, 8e6)[number % 2], chance.uniform(0.4, 1), chance.uniform(0.4, 1)
            accuracy = 0.3 + 0.2 * (budget > 5e6) + 0.02 * chance.normal()
            network = {"resolution": r, "depth": d, "width": (budget / 8e6 / d) ** 0.5 / r}
            macs = int(budget * chance.uniform(0.97, 1.03))
            nets.append(trial(DRAWN, budget, accuracy, macs=macs, **network))
        width = multipliers_of(nets_of(nets))[2].at_cost
        found.append(width.value)
        misses += not width.low <= 0 <= width.high
    assert abs(np.mean(found)) < 3 * 0.22 / 200**0.5
    assert misses / 200 < 0.05 + 3 * 0.0155


def test_a_claim_turned_round_does_not_hold() -> None:
    """What resolution does is done by the width instead."""
    turned = [
        trial(DRAWN, 2e6, 0.4 + 0.02 * i, width=0.1 * i + 0.1, resolution=1.0 - 0.04 * i, depth=d)
        for i, d in enumerate(np.random.default_rng(1).uniform(0.3, 1, 12))
    ]
    assert claim_of(multipliers_of(nets_of(turned))) == "does not hold here"
    assert claim_of(multipliers_of(nets_of(turned[:7]))) == "not judged: too few networks"


def test_networks_that_are_undertrained_decide_nothing() -> None:
    """Deep networks are behind, and had not learnt the photos that they were trained on."""
    chance, deep = np.random.default_rng(2), []
    for i in range(16):
        places = {"depth": 0.1 * i + 0.1, "width": 1.7 - 0.1 * i, "resolution": chance.uniform()}
        found = trial(DRAWN, 2e6, 0.9 - 0.03 * i, **places)
        slow = Metric(value=1 + 0.1 * i + 0.05 * chance.normal(), unit="nats")
        deep.append(replace(found, quantities={**found.quantities, "loss": slow}))
    said = claim_of(multipliers_of(nets_of(deep)))
    assert said.startswith("undecided, as networks with more depth are undertrained (at the same")
    fitted = [
        replace(t, quantities={**t.quantities, "loss": quick})
        for t, quick in zip(
            deep,
            (Metric(value=float(v), unit="nats") for v in chance.uniform(1, 2, 16)),
            strict=True,
        )
    ]
    assert claim_of(multipliers_of(nets_of(fitted))) == "does not hold here"


def test_proxies_are_judged_beside_the_number_of_parameters() -> None:
    found = {f.proxy: f for f in proxy_correlation(nets_of(drawn()))}
    assert set(found) == {"synflow", "parameters"}  # NASWOT is missing in these trials
    assert found["synflow"].marginal.value > 0.95
    assert found["synflow"].over_control is not None
    assert found["synflow"].over_control.low > 0
    assert found["parameters"].over_control is None


def test_a_lead_holds_chance_of_photos_and_of_runs() -> None:
    """Of 300 made-up comparisons without a difference, the 95 % interval holds 0 in at least
    95 % - 3 standard errors of 1.3 %: variances add, so that it is rather wide."""
    held = 0
    for seed in range(300):
        chance = np.random.default_rng(seed)
        hard = chance.uniform(0.2, 0.8, 200)  # how often each photo is answered rightly

        def runs(n: int, chance: Any = chance, hard: Any = hard) -> Any:
            skill = 0.05 * chance.normal(size=(n, 1))
            return (chance.random((n, 200)) < np.clip(hard + skill, 0, 1)).astype(float)

        one = accuracy_difference(
            {b: runs(2) for b in (1.0, 2.0)}, {b: runs(3) for b in (1.0, 2.0)}, "x"
        )
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 0 <= one.high
    assert held / 300 > 0.95 - 3 * 0.013


def test_a_clear_lead_is_called_better_and_its_reverse_worse() -> None:
    good = {1.0: np.tile([1.0, 1.0, 1.0, 0.0], (2, 20))}
    bad = {1.0: np.tile([1.0, 0.0, 0.0, 0.0], (2, 20)), 2.0: np.zeros((2, 80))}
    one = accuracy_difference(good, bad, "bad")
    assert (one.verdict, one.budgets, one.value) == ("better", (1.0,), 0.5)
    assert accuracy_difference(bad, good, "good").verdict == "worse"


def test_without_a_second_run_or_a_shared_budget_nothing_is_claimed() -> None:
    one = accuracy_difference({1.0: np.ones((1, 9))}, {1.0: np.zeros((2, 9))}, "x")
    assert (one.value, one.low, one.high, one.verdict) == (1, None, None, "no difference shown")
    assert "two seeds or more" in str(one.reason)
    none = accuracy_difference({1.0: np.ones((2, 9))}, {2.0: np.ones((2, 9))}, "x")
    assert none.value is None
    assert none.reason == "the two share no budget"
    with pytest.raises(RunError, match="the same photos"):
        accuracy_difference({1.0: np.ones((2, 9))}, {1.0: np.ones((2, 8))}, "x")


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


def test_the_text_says_the_floor_the_seeds_and_no_more_than_intervals_carry() -> None:
    trials = [*drawn(), trial(FORMULA, 2e6, 0.5), trial(INVERSE, 2e6, 0.5)]
    text = search_text(tiny_findings(trials, classes=10), ["3 photos left out: a; b; c"])
    assert "each with 1 seed;" in text
    assert "the most frequent class alone gets 20.0 %" in text
    assert "beside inverse compound scaling: 0.0 points, no interval: a single run" in text
    assert "- 3 photos left out: a; b; c" in text
    assert text.count("\n| drawn") == 24
