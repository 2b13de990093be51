"""Which numbers of networks go with their accuracy, alone and at the same cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....stats import RankCorrelation, RankDifference, rank_correlation, rank_lead, with_ends
from ....tinynet import CONTROL, PROXIES
from ..networks import TrainedNetwork
from ..train import LOSS, TEST

MULTIPLIERS = ("resolution", "depth", "width")
FEWEST = 8  # networks below which intervals of ranks hold too little of what they promise


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """How a number of networks goes with their accuracy on the test set.

    Attributes:
        name: A multiplier, or a proxy: a number of the network before its training.
        marginal: Rank correlation as it is, networks of all budgets together.
        at_cost: The same with the budget held fixed. r, d and w are bound by the cost then, so
            that more of one is less of the others; a sieve within a budget goes by it.
        lead: How much more `at_cost` is than that of the width, or of the control of proxies; None
            of these.
        with_loss: Of a multiplier, the rank correlation with the loss on the photos trained on, at
            the same cost; None where that was not kept.
    """

    name: str
    marginal: RankCorrelation
    at_cost: RankCorrelation
    lead: RankDifference | None
    with_loss: RankCorrelation | None = None

    @property
    def is_undertrained(self) -> bool:
        """Whether networks with more of it are shown to end with a higher training loss.

        Such a network has not learnt what it was shown, so that its accuracy is no word on what it
        could learn: too large a network would fit its photos better, and others worse.
        """
        return self.with_loss is not None and self.with_loss.low > 0


def multiplier_predictors(nets: Sequence[TrainedNetwork]) -> tuple[Predictor, ...]:
    """Of all three multipliers; none of fewer than `FEWEST` networks that were trained.

    Args:
        nets: Networks drawn; their accuracies on the test set are means over seeds.
    """
    trained = [net for net in nets if net.is_trained]
    rows = {name: [float(net.network[name]) for net in trained] for name in MULTIPLIERS}
    return _predictors(trained, rows, "width", [net.mean(LOSS) for net in _all_with(trained, LOSS)])


def proxy_predictors(nets: Sequence[TrainedNetwork]) -> tuple[Predictor, ...]:
    """Of each proxy that all networks have; none of fewer than `FEWEST` networks trained.

    A proxy of a network is the mean over its seeds, as its accuracy is.
    """
    trained = [net for net in nets if net.is_trained]
    rows = {name: [net.mean(name) for net in _all_with(trained, name)] for name in PROXIES}
    return _predictors(trained, {name: row for name, row in rows.items() if row}, CONTROL)


def _all_with(nets: Sequence[TrainedNetwork], name: str) -> Sequence[TrainedNetwork]:
    """The networks if each of their trials has this quantity, else none."""
    known = all(trial.value(name) is not None for net in nets for trial in net.trials)
    return nets if known else ()


def _predictors(
    trained: Sequence[TrainedNetwork],
    rows: Mapping[str, Sequence[float]],
    control: str,
    loss: Sequence[float] = (),
) -> tuple[Predictor, ...]:
    if len(trained) < FEWEST:
        return ()
    accuracy = [net.mean(TEST) for net in trained]
    cost = _budget_rows(trained)
    return tuple(
        Predictor(
            name=name,
            marginal=rank_correlation(row, accuracy),
            at_cost=rank_correlation(row, accuracy, fixed=cost),
            lead=None
            if name == control or control not in rows
            else rank_lead(row, rows[control], accuracy, fixed=cost),
            with_loss=rank_correlation(row, loss, fixed=cost) if loss else None,
        )
        for name, row in rows.items()
    )


def _budget_rows(nets: Sequence[TrainedNetwork]) -> list[list[float]]:
    """What to hold fixed for networks to be of the same cost: a row for each budget but the first.

    Each is 1 for the networks of its budget and 0 for the others. Their own multiply-adds would
    not do: within a budget these differ by rounding alone, and from one budget to the next accuracy
    and width step, which no line through such ranks takes away.
    """
    budgets = [float(net.network["asked_macs"]) for net in nets]
    return [[float(each == budget) for each in budgets] for budget in sorted(set(budgets))[1:]]


def claim_of(multipliers: Sequence[Predictor]) -> str:
    """Whether resolution and depth matter more than width here, as far as intervals carry it.

    A multiplier that is behind the width's decides nothing where networks with more of it are
    undertrained.
    """
    leads = [m.lead for m in multipliers if m.lead is not None]  # of resolution and of depth
    if len(leads) < 2 or any(lead.value is None for lead in leads):
        return "not judged: too few networks"
    if all(lead.low > 0 for lead in leads):
        return "holds here"
    behind = [n for n, lead in zip(("resolution", "depth"), leads, strict=True) if lead.high < 0]
    for factor in multipliers:
        if factor.name in behind and factor.is_undertrained and factor.with_loss is not None:
            rho = factor.with_loss
            return (
                f"undecided, as networks with more {factor.name} are undertrained (at the same "
                f"cost the rank correlation of {factor.name} with the loss on the photos trained "
                f"on is {with_ends(rho.value or 0.0, rho.low, rho.high, sign=True)})"
            )
    if behind:
        return "does not hold here"
    sure = [n for n, lead in zip(("resolution", "depth"), leads, strict=True) if lead.low > 0]
    return f"is shown of {sure[0]} alone" if sure else "is not shown here"
