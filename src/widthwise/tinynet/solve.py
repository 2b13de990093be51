"""Costs of networks, counted or timed, and the network on a line that meets a budget."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING

from ..errors import TargetError
from ..measure import calls_sec
from ..stats import Estimate, median_with_error
from .budget import Budget, Kind, range_text
from .counts import NetworkCounts
from .family import Family
from .multipliers import BASE, LARGEST, Multipliers

if TYPE_CHECKING:
    import torch

STEP = 0.005
WIDTHS = tuple(round(STEP * i, 3) for i in range(1, round(LARGEST / STEP) + 1))
WARM_UPS = 3
MEASURING_SEC = 0.6  # at least so long, and so often
PASSES = 15

Cost = Callable[[Multipliers], float]


def cost_function(family: Family, kind: Kind, *, classes: int, device: str = "cpu") -> Cost:
    """The cost of networks of a family as a function of their multipliers.

    Seconds are measured when asked for, once for all scales that make the same network.
    """
    measured: dict[tuple[int, NetworkCounts], float] = {}

    def cost(scale: Multipliers) -> float:
        counts = family.counts(scale, classes=classes)
        counted = {"macs": counts.macs, "parameters": counts.parameters}
        counted["bytes"] = counts.parameter_bytes
        if kind in counted:
            return counted[kind]
        key = (family.resolution(scale), counts)
        if key not in measured:
            measured[key] = latency_sec(family, scale, classes=classes, device=device).value
        return measured[key]

    return cost


def nearest(
    scale: Callable[[float], Multipliers],
    values: Sequence[float],
    cost: Cost,
    budget: Budget,
    *,
    start: float,
    what: str,
) -> float:
    """The value whose network's cost is nearest to the budget, by bisection.

    Rounding makes many values one network: of those, the one nearest to `start` is taken.

    Args:
        scale: Multipliers at a value, each at least as large as at the value before.
        values: Values to choose from, ascending.
        what: Words for errors: `"at resolution 0.5 and depth 0.6"`.

    Raises:
        TargetError: The budget is below the smallest or above the largest network; the message has
            both.
    """

    def cost_at(value: float) -> float:
        return cost(scale(value))

    low, high = cost_at(values[0]), cost_at(values[-1])
    if not low <= budget.amount <= high:
        raise TargetError(
            f"{budget} is out of reach of networks {what}: they have "
            f"{range_text(budget.kind, low, high)}"
        )
    above = min(bisect_left(values, budget.amount, key=cost_at), len(values) - 1)
    closest = min(
        (cost_at(values[i]) for i in (max(above - 1, 0), above)),
        key=lambda amount: abs(amount - budget.amount),
    )
    first = bisect_left(values, closest, key=cost_at)
    last = max(first, bisect_right(values, closest, key=cost_at) - 1)
    return min(values[first : last + 1], key=lambda value: abs(value - start))


def closed_form_width(share: float, *, resolution: float, depth: float) -> float:
    """w = sqrt(c / (d r^2)): the width by which C0 r^2 d w^2 is the share c of C0.

    It does not meet the budget: stem, head and classifier do not shrink, and channels are rounded.

    Source: arXiv 2010.14819, section 3.

    >>> round(closed_form_width(0.134, resolution=0.68, depth=0.695), 3)
    0.646
    """
    return sqrt(share / (depth * resolution * resolution))


def solve_width(
    family: Family,
    *,
    resolution: float,
    depth: float,
    budget: Budget,
    classes: int,
    device: str = "cpu",
) -> Multipliers:
    """The scale with this resolution and depth whose width brings it nearest to the budget.

    Widths are multiples of 0.005 up to 4; of those that make the same network, the one nearest to
    `closed_form_width` is taken. About 40 counts, or up to 16 networks timed, a second each.

    Raises:
        TargetError: No width meets the budget (the message has the range), or the resolution is
            below the total stride.
    """

    def scale(width: float) -> Multipliers:
        return Multipliers(resolution=resolution, depth=depth, width=width)

    cost = cost_function(family, budget.kind, classes=classes, device=device)
    share = budget.amount / cost(BASE)
    start = closed_form_width(share, resolution=resolution, depth=depth)
    what = f"of {family.name} at resolution {resolution:.4g} and depth {depth:.4g}"
    return scale(nearest(scale, WIDTHS, cost, budget, start=start, what=what))


def latency_sec(
    family: Family, scale: Multipliers, *, classes: int, device: str = "cpu"
) -> Estimate:
    """Median seconds of one image (batch 1, float32, evaluation mode), with its standard error.

    Takes about a second, or 18 passes if they are longer. Other work on the machine counts in: a
    network that is timed twice may differ by more than the standard error.

    Raises:
        TargetError: The device is none that torch has here, or the scale is out of range.
    """
    import torch

    target = torch_device(device)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = family.build(scale, classes=classes).eval().to(target)
        side = family.resolution(scale)
        image = torch.zeros(1, 3, side, side, device=target)
        for _ in range(WARM_UPS):
            model(image)
        seconds: list[float] = []
        while len(seconds) < PASSES or sum(seconds) < MEASURING_SEC:
            seconds.append(calls_sec(partial(model, image), 1, target))
    return median_with_error(seconds)


def torch_device(name: str) -> torch.device:
    """The device of this name.

    Raises:
        TargetError: torch has none of this name here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TargetError(f"the device {name!r} cannot be used: {reason}") from error
    return device
