"""How well proxies foretell accuracy, beside the number of parameters alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....stats import RankCorrelation, RankDifference, rank_correlation, rank_lead
from ....tinynet import CONTROL, PROXIES
from ..networks import TrainedNetwork
from ..train import TEST
from .multipliers import FEWEST, budget_rows


@dataclass(frozen=True, kw_only=True)
class ProxyCorrelation:
    """A proxy beside the trained result.

    Attributes:
        proxy: Its name.
        marginal: Rank correlation with accuracy, networks of all budgets together.
        at_cost: The same with the budget held fixed: what a sieve within a budget goes by.
        over_control: How much more `at_cost` is than that of the control; None of the control.
    """

    proxy: str
    marginal: RankCorrelation
    at_cost: RankCorrelation
    over_control: RankDifference | None


def proxy_correlation(nets: Sequence[TrainedNetwork]) -> tuple[ProxyCorrelation, ...]:
    """Of each proxy that all networks have; none of fewer than `FEWEST` networks trained.

    A proxy of a network is the mean over its seeds, as its accuracy is.
    """
    trained = [net for net in nets if net.is_trained]
    if len(trained) < FEWEST:
        return ()
    accuracy = [net.mean(TEST) for net in trained]
    cost = budget_rows(trained)
    rows = {
        name: [net.mean(name) for net in trained]
        for name in PROXIES
        if all(trial.value(name) is not None for net in trained for trial in net.trials)
    }
    return tuple(
        ProxyCorrelation(
            proxy=name,
            marginal=rank_correlation(row, accuracy),
            at_cost=rank_correlation(row, accuracy, fixed=cost),
            over_control=None
            if name == CONTROL or CONTROL not in rows
            else rank_lead(row, rows[CONTROL], accuracy, fixed=cost),
        )
        for name, row in rows.items()
    )
