"""The formula's network beside others that were made for the same budget."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import TargetError
from .budget import Budget
from .compound_shrink import shrink, with_scaled_head
from .counts import NetworkCounts
from .family import Family
from .formula import Formula
from .multipliers import Multipliers
from .solve import cost_function


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another way to the budget; without a network where it does not get there.

    Attributes:
        rule: In words.
        scale: Multipliers.
        pixels: Side of the images.
        counts: Exact counts.
        cost: In the budget's unit.
        reason: Why there is no network.
    """

    rule: str
    scale: Multipliers | None = None
    pixels: int | None = None
    counts: NetworkCounts | None = None
    cost: float | None = None
    reason: str | None = None


def baselines(
    formula: Formula, family: Family, budget: Budget, *, classes: int
) -> tuple[Baseline, ...]:
    """The formula with the paper's closed form for the width, and the base shrunk by fixed rules.

    Compound scaling comes twice for EfficientNets: with a head that narrows, as published, and with
    that of the TinyNets.

    Raises:
        TargetError: The budget is one of seconds (each of these would have to be timed), or out of
            the formula's reach.
    """
    if budget.kind == "seconds":
        raise TargetError("networks beside the formula's have no budget of seconds")
    closed = formula.propose(family, budget, classes=classes, width="closed_form")
    narrowing = with_scaled_head(family)
    rules = [("compound scaling, head scaled", "compound", narrowing)] * (narrowing != family)
    rules += [("compound scaling", "compound", family)]
    rules += [(f"{rule} alone", rule, family) for rule in ("resolution", "depth", "width")]
    return (
        _alternative("tiny formula, closed-form width", family, budget, closed.scale, classes),
        *(_shrunk(words, rule, kind, budget, classes) for words, rule, kind in rules),
    )


def _shrunk(words: str, rule: str, family: Family, budget: Budget, classes: int) -> Baseline:
    try:
        scale = shrink(rule, family, budget, classes=classes).scale
    except TargetError as error:
        return Baseline(rule=words, reason=str(error))
    return _alternative(words, family, budget, scale, classes)


def _alternative(
    words: str, family: Family, budget: Budget, scale: Multipliers, classes: int
) -> Baseline:
    return Baseline(
        rule=words,
        scale=scale,
        pixels=family.resolution(scale),
        counts=family.counts(scale, classes=classes),
        cost=cost_function(family, budget.kind, classes=classes)(scale),
    )
