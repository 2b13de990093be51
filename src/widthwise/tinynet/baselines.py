"""The formula's network beside others that were made for the same budget by fixed rules.

EfficientNet (arXiv 1905.11946) grows a network by d = 1.2^phi, w = 1.1^phi, r = 1.15^phi, which
doubles its multiply-adds with every phi. Below the base, where phi is negative, rounding and what
does not shrink make that untrue: phi = -1 gives 247 M for EfficientNet-B0, not 193 M. So phi is
solved for the budget, which gives the published sizes of EfficientNet-B^-1 to B^-4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..errors import TargetError
from .budget import Budget
from .counts import NetworkCounts
from .efficientnet import EfficientNet
from .family import Family
from .formula import Formula, check_below_base
from .multipliers import BASE, Multipliers
from .solve import WIDTHS, cost_function, nearest

DEPTH_GROWTH, WIDTH_GROWTH, RESOLUTION_GROWTH = 1.2, 1.1, 1.15
_EXPONENTS = tuple(round(0.01 * i, 2) for i in range(-3000, 1))
_SHARES = tuple(round(0.001 * i, 3) for i in range(1, 1001))  # finer than a pixel of 224


@dataclass(frozen=True, kw_only=True)
class ShrunkNetwork:
    """The base, shrunk to a budget by a fixed rule.

    Attributes:
        value: phi of compound scaling, or the one multiplier.
        scale: All multipliers.
    """

    value: float
    scale: Multipliers


def compound_scale(phi: float) -> Multipliers:
    """d = 1.2^phi, w = 1.1^phi, r = 1.15^phi."""
    return Multipliers(
        resolution=RESOLUTION_GROWTH**phi, depth=DEPTH_GROWTH**phi, width=WIDTH_GROWTH**phi
    )


def with_scaled_head(family: Family) -> Family:
    """The family of the published compound-scaling baseline, whose head narrows too.

    TinyNets keep theirs, so that TinyNet-E has 1.28 M parameters in its classifier alone.
    Families whose last layers scale anyway are returned as they are.
    """
    return replace(family, scaled_head=True) if isinstance(family, EfficientNet) else family


RULES: dict[str, tuple[Callable[[float], Multipliers], Sequence[float]]] = {
    "compound": (compound_scale, _EXPONENTS),
    "width": (lambda width: replace(BASE, width=width), [w for w in WIDTHS if w <= 1]),
    "depth": (lambda depth: replace(BASE, depth=depth), _SHARES),
    "resolution": (lambda resolution: replace(BASE, resolution=resolution), _SHARES),
}


def shrink(
    rule: str, family: Family, budget: Budget, *, classes: int, device: str = "cpu"
) -> ShrunkNetwork:
    """The base shrunk by a rule to the cost nearest to the budget.

    Args:
        rule: `compound`, or the only multiplier that changes: `width`, `depth`, `resolution`.
        budget: Budget, at most the base's cost.
        device: Device on which seconds are measured.

    Raises:
        TargetError: The rule does not reach the budget (the message has its range), the budget is
            above the base, or there is no such rule.
    """
    if rule not in RULES:
        raise TargetError(f"the rule must be one of {', '.join(RULES)}; got {rule!r}")
    scale, values = RULES[rule]
    least = family.stride / family.base_resolution
    reached = [value for value in values if scale(value).resolution >= least]
    cost = cost_function(family, budget.kind, classes=classes, device=device)
    check_below_base(family, budget, cost(BASE))
    name = "compound scaling" if rule == "compound" else f"{rule} alone"
    what = f"of {family.name} by {name}"
    value = nearest(scale, reached, cost, budget, start=reached[-1], what=what)
    return ShrunkNetwork(value=value, scale=scale(value))


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Another way to the budget; without a network where it does not get there.

    Attributes:
        rule: Rule that made it, in words.
        pixels: Side of the images.
        cost: Cost in the budget's unit.
        reason: Reason why there is no network.
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
        _baseline("tiny formula, closed-form width", family, budget, closed.scale, classes),
        *(_shrunk(words, rule, kind, budget, classes) for words, rule, kind in rules),
    )


def _shrunk(words: str, rule: str, family: Family, budget: Budget, classes: int) -> Baseline:
    try:
        scale = shrink(rule, family, budget, classes=classes).scale
    except TargetError as error:
        return Baseline(rule=words, reason=str(error))
    return _baseline(words, family, budget, scale, classes)


def _baseline(
    words: str, family: Family, budget: Budget, scale: Multipliers, classes: int
) -> Baseline:
    return Baseline(
        rule=words,
        scale=scale,
        pixels=family.resolution(scale),
        counts=family.counts(scale, classes=classes),
        cost=cost_function(family, budget.kind, classes=classes)(scale),
    )
