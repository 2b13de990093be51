"""Non-dominated sorting: which networks no other one beats on both cost and quality."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import RunError


def front_ranks(costs: Sequence[float], values: Sequence[float]) -> tuple[int, ...]:
    """The front that each network is on: 0 is beaten by none, 1 by those of front 0 alone ...

    One network beats another if it costs no more, is no worse, and is not the same in both. What is
    the same in both is on the same front.

    Args:
        costs: Less is better; finite.
        values: More is better; finite, in the same order.

    Raises:
        RunError: Lengths that differ, or numbers that are not finite.

    Cost: n² comparisons a front.

    Source: Deb et al. 2002, NSGA-II, section III.A.

    Example:
        >>> front_ranks([1, 2, 2, 3], [0.5, 0.7, 0.4, 0.6])
        (0, 0, 1, 1)
    """
    if len(costs) != len(values):
        raise RunError(f"each cost needs a value; got {len(costs)} and {len(values)}")
    points = list(zip(map(float, costs), map(float, values), strict=True))
    if not all(math.isfinite(number) for point in points for number in point):
        raise RunError("costs and values of a front must be finite")
    ranks = [0] * len(points)
    left, rank = list(range(len(points))), 0
    while left:
        front = [i for i in left if not any(_beats(points[j], points[i]) for j in left)]
        for i in front:
            ranks[i] = rank
        left, rank = [i for i in left if i not in set(front)], rank + 1
    return tuple(ranks)


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def best_ranked(
    costs: Sequence[float], values: Sequence[float], *, share: float = 0.2, at_least: int = 8
) -> tuple[int, ...]:
    """Places of the networks on the best fronts, as many whole fronts as make up a share.

    Args:
        costs: As in `front_ranks`.
        values: As in `front_ranks`.
        share: Of all networks, in (0, 1]; the paper's is 0.2.
        at_least: However small the share: fewer say nothing of a curve.

    Returns:
        Places in ascending order; all of them if there are no more than `at_least`.

    Example:
        >>> best_ranked([1, 2, 2, 3], [0.5, 0.7, 0.4, 0.6], at_least=1)
        (0, 1)
    """
    ranks = front_ranks(costs, values)
    wanted = min(len(ranks), max(at_least, math.ceil(share * len(ranks))))
    last = sorted(ranks)[wanted - 1] if wanted else 0
    return tuple(place for place, rank in enumerate(ranks) if rank <= last)
