"""Which tasks move together over widths, and how little that may say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

from ..stats import Correlation, correlation, grouped, is_perplexity
from .comparisons import beats_its_floor
from .grid import Grid
from .types import TaskCorrelation, WidthCurve

_FEWEST = 3  # points of a correlation that is not a line by construction


def task_correlations(grid: Grid, curves: tuple[WidthCurve, ...]) -> tuple[TaskCorrelation, ...]:
    """Every two tasks over the networks of a criterion, dense included, if they share 3 or more."""
    by_criterion = grouped((curve.criterion, curve) for curve in curves)
    pairs = (
        task_correlation(grid, first, second)
        for criterion in grid.criteria
        for first, second in combinations(by_criterion.get(criterion, []), 2)
    )
    return tuple(pair for pair in pairs if pair is not None)


def task_correlation(grid: Grid, first: WidthCurve, second: WidthCurve) -> TaskCorrelation | None:
    """Two tasks of one criterion; None where they share too few networks."""
    first_values, other = _by_network(first), _by_network(second)
    shared = [network for network in first_values if network in other]
    whole = _correlation(first_values, other, shared)
    if whole is None:
        return None
    cut = [network for network in shared if network[0] is not None]
    return TaskCorrelation(
        first=first.quantity,
        second=second.quantity,
        criterion=first.criterion,
        correlation=whole,
        without_dense=_correlation(first_values, other, cut) if len(cut) < len(shared) else None,
        reading=_reading(grid, first, second),
        one_way=all(
            _goes_one_way([row[network] for network in shared]) for row in (first_values, other)
        ),
    )


_Place = tuple[str | None, int]  # criterion, None of dense, and width


def _by_network(curve: WidthCurve) -> dict[_Place, float]:
    """Quality of each network, which grows as it gets better: of a score of which lower is better
    the value with its sign turned.

    Of a perplexity the logarithm is taken, as one huge value would be all of r.
    """
    logs, sign = is_perplexity(curve.unit), 1 if curve.higher_is_better else -1
    return {
        (point.criterion, point.width): sign * (math.log(point.value) if logs else point.value)
        for point in curve.points
    }


def _goes_one_way(values: Sequence[float]) -> bool:
    """Whether values never rise, or never fall."""
    steps = [b - a for a, b in pairwise(values)]
    return all(step <= 0 for step in steps) or all(step >= 0 for step in steps)


def _correlation(
    first: dict[_Place, float], other: dict[_Place, float], networks: list[_Place]
) -> Correlation | None:
    if len(networks) < _FEWEST:
        return None
    return correlation([first[n] for n in networks], [other[n] for n in networks])


def _reading(grid: Grid, first: WidthCurve, second: WidthCurve) -> str:
    at_floor = [curve.quantity for curve in (first, second) if _never_above_its_floor(grid, curve)]
    return f"{' and '.join(at_floor)} never shown to beat the floor" if at_floor else ""


def _never_above_its_floor(grid: Grid, curve: WidthCurve) -> bool:
    cuts = (record for _, record in grid.of_criteria([curve.criterion], curve.quantity))
    records = [grid.of_dense(curve.quantity), *cuts]
    floored = [record for record in records if record and record.floor is not None]
    return bool(floored) and not any(map(beats_its_floor, floored))
