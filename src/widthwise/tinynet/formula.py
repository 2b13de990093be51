"""The tiny formula: resolution and depth by regression, the width from the budget.

Source: arXiv 2010.14819, section 3. Of many random networks those that are best for their cost make
a front; Gaussian processes fitted to it give resolution and depth as functions of the cost c, a
share of the base's. The width has no clear law and makes up the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import TargetError
from .budget import Budget, amount_text
from .counts import NetworkCounts
from .family import Family
from .multipliers import BASE, Multipliers
from .published import PUBLISHED, TINYNETS
from .regression import FittedCurve, Predicted, regress
from .solve import closed_form_width, cost_function, nearest, solve_width

MIN_POINTS = 8  # networks of a front; fewer leave the kernel undecided
LARGEST_SHARE = 2.0
DIGITS = 4
SHARES = tuple(round(0.01 * 10 ** (i / 30), 6) for i in range(61))  # 0.01 to 1, 8 % apart
WidthRule = Literal["solve", "closed_form"]

INTERPOLATION = "an interpolation of the five released models, not the authors' fit"


@dataclass(frozen=True, kw_only=True)
class FormulaPoint:
    """A network of the front.

    Attributes:
        share: c, its multiply-adds over those of the base.
        resolution: r, its multiplier.
        depth: d, its multiplier.
    """

    share: float
    resolution: float
    depth: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise TargetError(f"{name} of a network of the front must be above 0; got {value}")
        if self.share > LARGEST_SHARE:
            raise TargetError(f"a share must be at most {LARGEST_SHARE:g}; got {self.share}")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The network that the formula proposes.

    Attributes:
        cost: Cost in the budget's unit.
        share: Share c at which the curves were read.
        own_share: Its multiply-adds over those of the base, which differ from `share` for budgets
            of other kinds: parameters hardly change where resolution does.
        resolution: Predicted r.
        depth: Predicted d.
        pixels: Side of its images.
        is_inside: Whether c is within the range of the networks behind the formula.
    """

    family: str
    budget: Budget
    cost: float
    share: float
    own_share: float
    resolution: Predicted
    depth: Predicted
    scale: Multipliers
    counts: NetworkCounts
    pixels: int
    is_inside: bool

    @property
    def miss(self) -> float:
        """Cost over budget, less 1."""
        return self.cost / self.budget.amount - 1


@dataclass(frozen=True, kw_only=True)
class Formula:
    """r(c) and d(c), fitted to networks of a front; made by `fit` or `from_published`.

    Attributes:
        source: Words for the networks that it was fitted to.
        resolution: Curve r(c).
        depth: Curve d(c).
        is_clipped: Whether predictions stay between the smallest and the largest of the networks.
    """

    source: str
    points: tuple[FormulaPoint, ...]
    resolution: FittedCurve
    depth: FittedCurve
    is_clipped: bool = False

    @classmethod
    def fit(cls, points: Sequence[FormulaPoint], *, source: str, clip: bool = False) -> Formula:
        """The formula of a front of networks; kernels by the largest marginal likelihood.

        Args:
            points: Networks of the front, at least 8.
            source: Words for these networks.
            clip: Whether predictions stay between the points' smallest and largest multiplier.

        Raises:
            TargetError: There are fewer than 8 points.
            RunError: scikit-learn is missing.

        Cost: cubic in the number of points; a second for 100.
        """
        if len(points) < MIN_POINTS:
            raise TargetError(
                f"the formula needs a front of at least {MIN_POINTS} networks; got {len(points)}: "
                "train more networks, or keep more of them"
            )
        return cls._of(points, source=source, clip=clip, fixed=False)

    @classmethod
    def from_published(cls) -> Formula:
        """An interpolation of the five released models, not the authors' fit.

        The networks behind the authors' fit were not published. Five points do not settle a kernel,
        so its length (0.3 of the base's cost) and noise are set, not fitted; the predictive
        interval rests on them.

        Raises:
            RunError: scikit-learn is missing.
        """
        base = PUBLISHED["b0"].macs
        points = [
            FormulaPoint(share=n.macs / base, resolution=n.scale.resolution, depth=n.scale.depth)
            for n in TINYNETS.values()
        ]
        return cls._of(points, source=INTERPOLATION, clip=False, fixed=True)

    @classmethod
    def _of(
        cls, points: Sequence[FormulaPoint], *, source: str, clip: bool, fixed: bool
    ) -> Formula:
        shares = [point.share for point in points]
        return cls(
            source=source,
            points=tuple(points),
            resolution=regress(shares, [point.resolution for point in points], fixed=fixed),
            depth=regress(shares, [point.depth for point in points], fixed=fixed),
            is_clipped=clip,
        )

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest c of the networks behind it."""
        shares = [point.share for point in self.points]
        return min(shares), max(shares)

    def at(self, share: float) -> tuple[float, float]:
        """(r, d) at c, to 4 digits, so that the printed numbers make the same network."""
        multipliers = []
        for curve in (self.resolution, self.depth):
            value = curve(share).value
            if self.is_clipped:
                value = min(max(value, min(curve.values)), max(curve.values))
            multipliers.append(round(value, DIGITS))
        return multipliers[0], multipliers[1]

    def propose(
        self,
        family: Family,
        budget: Budget,
        *,
        classes: int,
        width: WidthRule = "solve",
        device: str = "cpu",
    ) -> Proposal:
        """The network for a budget.

        c is the budget's share of the base's multiply-adds. Of another budget, c is where the
        formula's networks, widths solved for c, come nearest to it.

        Args:
            budget: Budget, at most the cost of the base.
            width: `solve` for the width whose exact cost is nearest to the budget, `closed_form`
                for the paper's `sqrt(c / (d r^2))`, which misses it.
            device: Device on which seconds are measured.

        Raises:
            TargetError: The budget is above the base's cost, or below what the formula reaches.

        Cost: milliseconds by counts; of seconds, some 25 networks are timed.
        """
        cost = cost_function(family, budget.kind, classes=classes, device=device)
        check_below_base(family, budget, cost(BASE))
        share = self._share(family, budget, classes, cost(BASE), device)
        if width == "closed_form":
            resolution, depth = self.at(share)
            closed = closed_form_width(share, resolution=resolution, depth=depth)
            scale = Multipliers(resolution=resolution, depth=depth, width=round(closed, DIGITS))
        else:
            scale = self._scale(share, family, budget, classes, device)
        low, high = self.range
        counts = family.counts(scale, classes=classes)
        return Proposal(
            family=family.name,
            budget=budget,
            cost=cost(scale),
            share=share,
            own_share=counts.macs / family.counts(BASE, classes=classes).macs,
            resolution=self.resolution(share),
            depth=self.depth(share),
            scale=scale,
            counts=counts,
            pixels=family.resolution(scale),
            is_inside=low <= share <= high,
        )

    def _share(
        self, family: Family, budget: Budget, classes: int, base: float, device: str
    ) -> float:
        """The share at which the curves are read."""
        if budget.kind == "macs":
            return budget.amount / base
        cost = cost_function(family, budget.kind, classes=classes, device=device)
        whole = family.counts(BASE, classes=classes).macs

        def scale(share: float) -> Multipliers:
            return self._scale(share, family, Budget("macs", share * whole), classes, device)

        shares, what = _reachable(scale), f"of {family.name} by the formula"
        return nearest(scale, shares, cost, budget, start=budget.amount / base, what=what)

    def _scale(
        self, share: float, family: Family, budget: Budget, classes: int, device: str
    ) -> Multipliers:
        """The network with r and d of a share whose width meets a budget."""
        resolution, depth = self.at(share)
        return solve_width(
            family,
            resolution=resolution,
            depth=depth,
            budget=budget,
            classes=classes,
            device=device,
        )


def _reachable(scale: Callable[[float], Multipliers]) -> tuple[float, ...]:
    """The shares from the smallest one on that has a network."""
    for i, share in enumerate(SHARES[:-1]):
        try:
            scale(share)
        except TargetError:  # below the smallest network of this resolution and depth
            continue
        return SHARES[i:]
    return SHARES[-1:]


def check_below_base(family: Family, budget: Budget, base: float) -> None:
    """Raise TargetError when a budget is above what the base costs."""
    if budget.amount > base:
        raise TargetError(
            f"a budget must be at most {amount_text(budget.kind, base)}, the cost of the base of "
            f"{family.name}; got {budget}"
        )
