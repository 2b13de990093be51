"""Which multiplier goes with accuracy, alone and at the same cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....stats import RankCorrelation, RankDifference, rank_correlation, rank_lead, with_ends
from ..networks import TrainedNetwork
from ..train import LOSS, TEST

NAMES = ("resolution", "depth", "width")
FEWEST = 8  # networks below which intervals of ranks hold too little of what they promise


@dataclass(frozen=True, kw_only=True)
class Multiplier:
    """How a multiplier of the networks drawn goes with their accuracy.

    Attributes:
        name: `resolution`, `depth` or `width`.
        marginal: Rank correlation as it is, networks of all budgets together.
        at_cost: The same with the budget held fixed. r, d and w are bound by the cost then, so
            that more of one is less of the others.
        over_width: How much more it is, at the same cost, than the width's; None of the width.
        with_loss: Rank correlation with the loss on the photos trained on, at the same cost; None
            where that was not kept.
    """

    name: str
    marginal: RankCorrelation
    at_cost: RankCorrelation
    over_width: RankDifference | None
    with_loss: RankCorrelation | None

    @property
    def is_undertrained(self) -> bool:
        """Whether networks with more of it are shown to end with a higher training loss.

        Such a network has not learnt what it was shown, so that its accuracy is no word on what it
        could learn: too large a network would fit its photos better, and others worse.
        """
        return self.with_loss is not None and self.with_loss.low > 0


def multipliers_of(nets: Sequence[TrainedNetwork]) -> tuple[Multiplier, ...]:
    """Of all three multipliers; none of fewer than `FEWEST` networks that were trained.

    Args:
        nets: Networks drawn; their accuracies on the test set are means over seeds.
    """
    trained = [net for net in nets if net.is_trained]
    if len(trained) < FEWEST:
        return ()
    accuracy = [net.mean(TEST) for net in trained]
    cost = budget_rows(trained)
    rows = {name: [float(net.network[name]) for net in trained] for name in NAMES}
    known = all(trial.value(LOSS) is not None for net in trained for trial in net.trials)
    loss = [net.mean(LOSS) for net in trained] if known else None
    return tuple(
        Multiplier(
            name=name,
            marginal=rank_correlation(rows[name], accuracy),
            at_cost=rank_correlation(rows[name], accuracy, fixed=cost),
            over_width=None
            if name == "width"
            else rank_lead(rows[name], rows["width"], accuracy, fixed=cost),
            with_loss=None if loss is None else rank_correlation(rows[name], loss, fixed=cost),
        )
        for name in NAMES
    )


def budget_rows(nets: Sequence[TrainedNetwork]) -> list[list[float]]:
    """What to hold fixed for networks to be of the same cost: a row for each budget but the first.

    Each is 1 for the networks of its budget and 0 for the others. Their own multiply-adds would
    not do: within a budget these differ by rounding alone, and from one budget to the next accuracy
    and width step, which no line through such ranks takes away.
    """
    budgets = [float(net.network["asked_macs"]) for net in nets]
    return [[float(each == budget) for each in budgets] for budget in sorted(set(budgets))[1:]]


def claim_of(multipliers: Sequence[Multiplier]) -> str:
    """Whether resolution and depth matter more than width here, as far as intervals carry it.

    A multiplier that is behind the width's decides nothing where networks with more of it are
    undertrained.
    """
    over_width = {m.name: m.over_width for m in multipliers}
    leads = [lead for name in ("resolution", "depth") if (lead := over_width.get(name)) is not None]
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
