"""Trials of networks put together seed by seed, and the best of them for their budgets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...stats import grouped
from ...tinynet import BASE, MIN_POINTS, Family, Formula, FormulaPoint, best_ranked
from .train import TEST, VALIDATION
from .trials import SearchTrial

SHARE = 0.2  # of the networks that are drawn: those that the formula is fitted to


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A network with its trials, one a seed.

    Attributes:
        experiment: How it was chosen.
        network: What it is.
        trials: In the order of their seeds.
    """

    experiment: str
    network: Mapping[str, Any]
    trials: tuple[SearchTrial, ...]

    @property
    def is_trained(self) -> bool:
        """Whether all seeds have accuracies: a mean of those left would hide that one failed."""
        names = (VALIDATION, TEST)
        return all(trial.value(name) is not None for trial in self.trials for name in names)

    def mean(self, name: str) -> float:
        """Mean of a quantity over seeds; of a network that is trained."""
        values = [trial.quantities[name].value for trial in self.trials]
        return sum(value for value in values if value is not None) / len(values)

    def right(self) -> NDArray[np.float64]:
        """Of each seed and photo of the test set whether the answer was right, 0 or 1."""
        return np.array([trial.quantities[TEST].items for trial in self.trials], dtype=np.float64)


def nets_of(trials: Sequence[SearchTrial], experiment: str | None = None) -> list[TrainedNetwork]:
    """The networks of trials, in their order; of one experiment, or of all."""
    groups = grouped(
        ((trial.experiment, json.dumps(dict(trial.network), sort_keys=True)), trial)
        for trial in trials
        if experiment in (None, trial.experiment)
    )
    return [
        TrainedNetwork(
            experiment=kind,
            network=group[0].network,
            trials=tuple(sorted(group, key=lambda trial: trial.seed)),
        )
        for (kind, _), group in groups.items()
    ]


def best_nets(nets: Sequence[TrainedNetwork]) -> list[TrainedNetwork]:
    """Of networks that were trained, those on the best fronts of budget and accuracy.

    By accuracy on the validation set. Costs are the budgets that were asked for, so that it does
    not matter which network came a hundredth below its budget.
    """
    trained = [net for net in nets if net.is_trained]
    places = best_ranked(
        [net.network["asked_macs"] for net in trained],
        [net.mean(VALIDATION) for net in trained],
        share=SHARE,
        at_least=MIN_POINTS,
    )
    return [trained[place] for place in places]


def formula_of(nets: Sequence[TrainedNetwork], family: Family, classes: int) -> Formula:
    """The tiny formula of some networks.

    Raises:
        TargetError: They are too few.
        RunError: scikit-learn is missing.
    """
    base = family.counts(BASE, classes=classes).macs
    points = [
        FormulaPoint(
            share=net.network["macs"] / base,
            resolution=net.network["resolution"],
            depth=net.network["depth"],
        )
        for net in nets
    ]
    return Formula.fit(points, source=f"the best {len(points)} networks of a search", clip=True)
