"""Which width each layer gets: the least sum of losses whose costs stay within a budget, exactly.

A multiple-choice knapsack: one level is chosen in each layer. Layer after layer, all sums of costs
and losses that could still be the best are kept. Of those, a sum is dropped where another one is
as cheap and as good, and where not even the best rest could make it better than a choice that is
known. For that bound the budget is given a price: with L(q) = min over all choices of
[loss + q * (cost - budget)], no choice within the budget has a loss below L(q), for any q >= 0;
it falls apart into a minimum a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import PlanError, TargetError

MOST_LEVELS = 128  # of a layer
MOST_COST = 2**53  # of all layers; float64 holds every whole number up to it
_HALVINGS = 100  # of the range of the price, more than a float64 has digits
_ROUNDING = 1e-12  # of all that is added up to a bound: more than float64 loses in 1,000 layers


def allocate(
    losses: Sequence[Sequence[float]], costs: Sequence[Sequence[int]], budget: int
) -> tuple[int, ...]:
    """The level of each layer that together lose least within a budget.

    >>> allocate([[9.0, 1.0], [3.0, 2.0]], [[1, 4], [1, 4]], 5)
    (1, 0)

    Args:
        losses: Losses of each layer at each of its levels; finite.
        costs: Costs likewise, whole numbers from 0 on, below 2^53 in all.
        budget: The largest sum of costs.

    Returns:
        The index of the level chosen in each layer. Of choices that lose the same it is a cheapest.

    Raises:
        TargetError: Not even the cheapest levels stay within the budget.
        PlanError: Layers of losses and of costs differ, or hold other numbers.

    Cost: of each layer, its levels times the sums that are kept; these are at most as many as there
    are different costs within the budget, and in practice few, as the bound is nearly reached.
    """
    _check(losses, costs)
    lost = [np.asarray(layer, np.float64) for layer in losses]
    paid = [np.asarray(layer, np.int64) for layer in costs]
    cheapest = [int(layer.min()) for layer in paid]
    if sum(cheapest) > budget:
        raise TargetError(
            f"no widths by layers cost at most {budget:,}: even the narrowest that are allowed "
            f"cost {sum(cheapest):,}"
        )
    price, known = _price(lost, paid, budget)
    rest_cost = np.cumsum([0, *reversed(cheapest)])[::-1]
    minima = [float((loss + price * cost).min()) for loss, cost in zip(lost, paid, strict=True)]
    rest_bound = np.cumsum([0.0, *reversed(minima)])[::-1]
    slack = _ROUNDING * sum(
        float(np.abs(loss).max() + price * cost.max())
        for loss, cost in zip(lost, paid, strict=True)
    )
    sums, total = np.zeros(1), np.zeros(1, np.int64)
    chosen: list[tuple[NDArray[np.intp], int]] = []
    for layer, (loss, cost) in enumerate(zip(lost, paid, strict=True)):
        sums = (sums[:, None] + loss).ravel()
        total = (total[:, None] + cost).ravel()
        bound = sums + price * (total - budget) + rest_bound[layer + 1]
        hopeful = (total + rest_cost[layer + 1] <= budget) & (bound <= known + slack)
        kept = _undominated(sums, total, np.flatnonzero(hopeful))
        sums, total = sums[kept], total[kept]
        chosen.append((kept, len(loss)))
    return _walked_back(chosen, int(sums.argmin()))


def _undominated(
    sums: NDArray[np.float64], total: NDArray[np.int64], among: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Those beside which no other is as cheap and as good, cheapest first."""
    order = among[np.lexsort((sums[among], total[among]))]
    best = np.minimum.accumulate(sums[order])
    kept: NDArray[np.intp] = order[np.concatenate([[True], best[1:] < best[:-1]])]
    return kept


def _walked_back(chosen: Sequence[tuple[NDArray[np.intp], int]], last: int) -> tuple[int, ...]:
    levels: list[int] = []
    for kept, count in reversed(chosen):
        last, level = divmod(int(kept[last]), count)
        levels.append(level)
    return tuple(reversed(levels))


def _price(
    lost: Sequence[NDArray[np.float64]], paid: Sequence[NDArray[np.int64]], budget: int
) -> tuple[float, float]:
    """A price near the one with the highest bound, and the loss of a choice within the budget."""

    def at(price: float) -> tuple[int, float]:
        """Cost and loss of the best choice at a price."""
        picks = [int((loss + price * cost).argmin()) for loss, cost in zip(lost, paid, strict=True)]
        cost = sum(int(layer[pick]) for layer, pick in zip(paid, picks, strict=True))
        return cost, sum(float(layer[pick]) for layer, pick in zip(lost, picks, strict=True))

    cost, loss = at(0.0)
    if cost <= budget:
        return 0.0, loss
    # Where a unit of cost outweighs all losses together, every layer takes its cheapest level.
    low, high = 0.0, 2 * sum(float(layer.max() - layer.min()) for layer in lost) + 1.0
    known = at(high)[1]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        cost, loss = at(middle)
        if cost <= budget:
            high, known = middle, min(known, loss)
        else:
            low = middle
    return high, known


def _check(losses: Sequence[Sequence[float]], costs: Sequence[Sequence[int]]) -> None:
    if not losses or [len(layer) for layer in losses] != [len(layer) for layer in costs]:
        raise PlanError(
            "losses and costs must have the same layers, and the same widths in each layer"
        )
    for layer, (lost, paid) in enumerate(zip(losses, costs, strict=True)):
        if not lost or not all(math.isfinite(loss) for loss in lost):
            raise PlanError(f"losses of layer {layer} must be finite numbers, at least one")
        if any(type(cost) is not int or cost < 0 for cost in paid):
            raise PlanError(f"costs of layer {layer} must be whole numbers from 0 on")
    if sum(max(layer) for layer in costs) >= MOST_COST:
        raise PlanError("costs must sum up to less than 2^53; pass them in a larger unit")


def candidate_widths(size: int, alignment: int, uniform: int) -> tuple[int, ...]:
    """Widths that a layer may take, ascending.

    Multiples of the alignment (of a multiple of it, where these would be more than `MOST_LEVELS`)
    from a quarter of the neurons on, or from half of the uniform width where that is below the
    quarter; the uniform width; and all neurons.

    >>> candidate_widths(1536, 128, 1280)
    (384, 512, 640, 768, 896, 1024, 1152, 1280, 1408, 1536)

    Args:
        size: Neurons of a layer, I.
        alignment: Alignment of the target.
        uniform: The width that the target would give every layer.
    """
    step = alignment * -(-size // (MOST_LEVELS * alignment))
    quarter = -(-size // (4 * step)) * step
    least = quarter if quarter <= uniform else max(step, uniform // 2 // step * step)
    return tuple(sorted({*range(min(least, uniform), size, step), uniform, size}))
