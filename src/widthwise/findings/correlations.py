"""Which tasks move together over widths, and how little that may say."""

from __future__ import annotations

from itertools import combinations

from ..stats import Correlation, correlation
from .grid import Grid
from .judge import beats_its_floor
from .shapes import Curve, Pair

_FEWEST = 3  # points of a correlation that is not a line by construction


def pairs_of(grid: Grid, curves: tuple[Curve, ...]) -> tuple[Pair, ...]:
    """Every two tasks over the networks of a criterion, dense included, if they share 3 or more."""
    found = []
    for criterion in grid.criteria:
        own = [curve for curve in curves if curve.criterion == criterion]
        for first, second in combinations(own, 2):
            pair = pair_of(grid, first, second)
            if pair is not None:
                found.append(pair)
    return tuple(found)


def pair_of(grid: Grid, first: Curve, second: Curve) -> Pair | None:
    """Two tasks of one criterion; None where they share too few networks."""
    one = {point.label: point.value for point in first.points}
    other = {point.label: point.value for point in second.points}
    shared = [label for label in one if label in other]
    whole = _correlation(one, other, shared)
    if whole is None:
        return None
    cut = [label for label in shared if label != "dense"]
    return Pair(
        first=first.quantity,
        second=second.quantity,
        criterion=first.criterion,
        correlation=whole,
        without_dense=_correlation(one, other, cut) if len(cut) < len(shared) else None,
        reading=_reading(grid, first, second),
    )


def _correlation(
    one: dict[str, float], other: dict[str, float], labels: list[str]
) -> Correlation | None:
    if len(labels) < _FEWEST:
        return None
    return correlation([one[label] for label in labels], [other[label] for label in labels])


def _reading(grid: Grid, first: Curve, second: Curve) -> str:
    at_floor = [curve.quantity for curve in (first, second) if _never_above_its_floor(grid, curve)]
    if not at_floor:
        return ""
    return f"{' and '.join(at_floor)} never above the floor"


def _never_above_its_floor(grid: Grid, curve: Curve) -> bool:
    networks = [grid.dense, *grid.cut_by(curve.criterion)]
    records = [
        grid.cells[n, curve.quantity] for n in networks if n and (n, curve.quantity) in grid.cells
    ]
    floored = [record for record in records if record.floor is not None]
    return bool(floored) and not any(beats_its_floor(record) for record in floored)
