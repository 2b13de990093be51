"""Made-up trials of a search for small networks, whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from widthwise.experiments.tinynet_search import SearchTrial
from widthwise.experiments.tinynet_search.train import DRAWN
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
