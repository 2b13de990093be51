"""Non-dominated sorting of networks by cost and quality."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import RunError


def front_ranks(costs: Sequence[float], values: Sequence[float]) -> tuple[int, ...]:
    """The front that each network is on: 0 is beaten by none, 1 by those of front 0 alone ...

    One network beats another if it costs no more, is no worse, and is not the same in both. What is
    the same in both is on the same front.

    Args:
        costs: Finite costs, of which less is better.
        values: Finite qualities in the same order, of which more is better.

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
    remaining, rank = list(range(len(points))), 0
    while remaining:
        front = [i for i in remaining if not any(_beats(points[j], points[i]) for j in remaining)]
        for i in front:
            ranks[i] = rank
        remaining, rank = [i for i in remaining if i not in set(front)], rank + 1
    return tuple(ranks)


def _beats(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return first[0] <= second[0] and first[1] >= second[1] and first != second


def best_ranked(
    costs: Sequence[float], values: Sequence[float], *, share: float = 0.2, at_least: int = 8
) -> tuple[int, ...]:
    """Indices of the networks on the best fronts, as many whole fronts as make up a share.

    Args:
        costs, values: See `front_ranks`.
        share: Share of all networks, in (0, 1]; the paper's is 0.2.
        at_least: Least number of networks; fewer do not settle a curve.

    Returns:
        Indices in ascending order; all of them if there are no more than `at_least`.

    Example:
        >>> best_ranked([1, 2, 2, 3], [0.5, 0.7, 0.4, 0.6], at_least=1)
        (0, 1)
    """
    ranks = front_ranks(costs, values)
    wanted = min(len(ranks), max(at_least, math.ceil(share * len(ranks))))
    last = sorted(ranks)[wanted - 1] if wanted else 0
    return tuple(i for i, rank in enumerate(ranks) if rank <= last)
