"""All findings of a search, from its trials alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ....errors import WidthwiseError
from ....stats import grouped
from ....tinynet import Formula, family_named, front_ranks
from ..networks import TrainedNetwork, best_nets, formula_of, nets_of
from ..train import DRAWN, FORMULA, INVERSE, TEST, VALIDATION
from ..trials import SearchTrial
from .comparisons import AccuracyDifference, accuracy_difference, adjusted
from .predictors import Predictor, multiplier_predictors, proxy_predictors


@dataclass(frozen=True, kw_only=True)
class TinyFindings:
    """What a search says.

    Attributes:
        drawn: Networks that were drawn.
        formula_nets: Those that the formula proposed.
        inverse_nets: Those of inverse compound scaling.
        front: Networks drawn that are on the front of budget and validation accuracy.
        behind: Networks drawn that the formula was fitted to.
        formula: That formula; None where there is none.
        multipliers: How r, d and w go with accuracy.
        foretold: How proxies do.
        besides: The formula beside inverse scaling, chance, and the best of chance, by the test.
        floor: Share of the test set's most frequent class.
        classes: Of the photos.
        seeds: Trainings of each network.
        failed: Trials that failed, with their reasons.
        seconds: Median time of a trial.
        is_chance: Whether networks were drawn by chance alone.
    """

    drawn: tuple[TrainedNetwork, ...]
    formula_nets: tuple[TrainedNetwork, ...]
    inverse_nets: tuple[TrainedNetwork, ...]
    front: tuple[TrainedNetwork, ...]
    behind: tuple[TrainedNetwork, ...]
    formula: Formula | None
    multipliers: tuple[Predictor, ...]
    foretold: tuple[Predictor, ...]
    besides: tuple[AccuracyDifference, ...]
    floor: float | None
    classes: int
    seeds: int
    failed: tuple[SearchTrial, ...]
    seconds: float
    is_chance: bool


def tiny_findings(
    trials: Sequence[SearchTrial], *, classes: int, is_chance: bool = True
) -> TinyFindings:
    """Read a search's trials.

    Networks are chosen by the validation set, and everything that is said of them is of the test
    set, on means over seeds.

    Args:
        trials: Of one search.
        classes: Of the photos.
        is_chance: Whether the networks drawn are drawn by chance alone; if not, they are no
            baseline, and the formula is not set beside their mean.
    """
    drawn, formula_nets, inverse = (nets_of(trials, e) for e in (DRAWN, FORMULA, INVERSE))
    trained = [net for net in drawn if net.is_trained]
    behind = best_nets(trained) if trained else []
    ranks = front_ranks(
        [net.network["asked_macs"] for net in trained], [net.mean(VALIDATION) for net in trained]
    )
    floors = [t.quantities[TEST].floor for net in trained for t in net.trials]
    return TinyFindings(
        drawn=tuple(drawn),
        formula_nets=tuple(formula_nets),
        inverse_nets=tuple(inverse),
        front=tuple(net for net, rank in zip(trained, ranks, strict=True) if rank == 0),
        behind=tuple(behind),
        formula=_formula(behind, classes),
        multipliers=multiplier_predictors(drawn),
        foretold=proxy_predictors(drawn),
        besides=_besides(formula_nets, inverse, trained, is_chance),
        floor=floors[0] if floors else None,
        classes=classes,
        seeds=max((len(net.trials) for net in drawn), default=0),
        failed=tuple(trial for trial in trials if trial.reason is not None),
        seconds=median(trial.duration_sec for trial in trials) if trials else 0.0,
        is_chance=is_chance,
    )


def _formula(behind: Sequence[TrainedNetwork], classes: int) -> Formula | None:
    if not behind:
        return None
    try:
        return formula_of(behind, family_named(behind[0].network["family"]), classes)
    except WidthwiseError:  # too few: said by the search
        return None


def _by_validation(net: TrainedNetwork) -> float:
    return net.mean(VALIDATION)


def _besides(
    formula: Sequence[TrainedNetwork],
    inverse: Sequence[TrainedNetwork],
    drawn: Sequence[TrainedNetwork],
    is_chance: bool,
) -> tuple[AccuracyDifference, ...]:
    """The formula's networks beside others of the same budgets, which are one family of tests.

    Nothing without a formula.
    """
    ours = {float(n.network["asked_macs"]): n.right() for n in formula if n.is_trained}
    if not ours:
        return ()
    theirs = {float(n.network["asked_macs"]): n.right() for n in inverse if n.is_trained}
    by_budget = grouped((float(net.network["asked_macs"]), net) for net in drawn)
    best = {b: max(nets, key=_by_validation).right() for b, nets in by_budget.items()}
    differences = [accuracy_difference(ours, theirs, "inverse compound scaling")]
    if is_chance:
        chance: dict[float, NDArray[np.float64]] = {
            b: np.array([net.right().mean(0) for net in nets]) for b, nets in by_budget.items()
        }
        differences.append(accuracy_difference(ours, chance, "a random network"))
    name = "the best random network" if is_chance else "the best network drawn"
    return adjusted([*differences, accuracy_difference(ours, best, f"{name} by validation")])
