"""Quality against what it costs: which networks no other one beats on both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..stats import paired_ratio
from ..study import Quantity, Record
from .comparisons import CONFIDENCE, beats_its_floor
from .curves import interval_of
from .grid import SIZE_UNITS, Grid, GridRow
from .score_vector import ScoreVector, documents_of, score_vector, shared_covariance, tasks_of
from .types import Front, FrontPoint

MEAN = "mean above floors"
_TIMED = ("prefill", "decode")  # the demo's speeds, whose names have no workload
_COSTS = ("ttft", "tpot", "throughput", "joules", "net_joules")  # behind a workload's name


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a network is good at: a task, or the mean of several.

    Attributes:
        name: A task, or `MEAN`.
        unit: Of the values.
        higher_is_better: Direction in which they improve.
        column: Scores turned so that higher is better, with the errors that they share.
        floors: Floor of each network of the column, in the unit; None where there is none.
        shown: Value and interval of each network of the column, in the unit.
        above: Whether each network of the column is shown above its floor.
    """

    name: str
    unit: str
    higher_is_better: bool
    column: ScoreVector
    floors: tuple[float | None, ...]
    shown: tuple[tuple[float, float | None, float | None], ...]
    above: tuple[bool, ...]


def fronts_of(grid: Grid) -> tuple[Front, ...]:
    """A front for every quality and cost of which two networks or more have both.

    Qualities are the mean score above the floors (see `qualities_of`), and each task on which dense
    beats its floor. Costs are bytes, times, tokens per second and joules per token.
    """
    qualities = qualities_of(grid)
    fronts = (_front(grid, quality, cost) for cost in costs_of(grid) for quality in qualities)
    return tuple(front for front in fronts if len(front.points) > 1)


def costs_of(grid: Grid) -> tuple[str, ...]:
    """Quantities that are paid, bytes first."""
    timed = (q for q in grid.quantities if q in _TIMED or Quantity.parse(q).metric in _COSTS)
    return tuple(dict.fromkeys(q for q in ("bytes", *timed) if q in grid.quantities))


def qualities_of(grid: Grid) -> tuple[Quality, ...]:
    """The mean first, if there are two tasks for it, then each task that dense beats its floor on.

    The mean is over shares of right answers: (score - floor) / (1 - floor), so 0 is a trivial
    answerer and 1 is all right. Its tasks are those on which dense beats the floor, and it is of
    the networks that were measured on all of them.
    """
    if grid.dense is None:
        return ()
    known = [q for q in tasks_of(grid) if beats_its_floor(grid.of_dense(q))]
    single = [_of_task(grid, quantity) for quantity in known]
    shares = [q for q in single if q.unit == "accuracy" and (q.floors[0] or 0.0) < 1]
    shares = [q for q in shares if not _is_part(grid, q.name, [share.name for share in shares])]
    return (*([_mean(grid, shares)] if len(shares) > 1 else []), *single)


def _is_part(grid: Grid, task: str, others: Sequence[str]) -> bool:
    """Whether a task goes by the name of a group among the others, and may share its documents.

    Records that say which documents they are of have what is shared in their errors.
    """
    records = [grid.sample(task)]
    records += [grid.sample(other) for other in others if task.startswith(f"{other}_")]
    return len(records) > 1 and not all(documents_of(record) for record in records)


def _of_task(grid: Grid, quantity: str) -> Quality:
    column = score_vector(grid, quantity)
    records = [grid.cells[network, quantity] for network in column.networks]
    return Quality(
        name=quantity,
        unit=records[0].unit,
        higher_is_better=bool(records[0].higher_is_better),
        column=column,
        floors=tuple(record.floor for record in records),
        shown=tuple((record.value or 0.0, *interval_of(record)) for record in records),
        above=tuple(map(beats_its_floor, records)),
    )


def _mean(grid: Grid, tasks: Sequence[Quality]) -> Quality:
    """Errors of different tasks are independent, except for the documents that they share."""
    networks = [
        n for n in tasks[0].column.networks if all(n in task.column.networks for task in tasks)
    ]
    floors = np.array([task.floors[0] or 0.0 for task in tasks])
    weights = 1 / (1 - floors) / len(tasks)
    scores = np.array([task.column.only(networks).values for task in tasks])
    values = np.sum(weights[:, None] * (scores - floors[:, None]), axis=0)
    errors = _errors(grid, tasks, networks)
    column = ScoreVector(
        networks=tuple(networks),
        values=values,
        covariance=None if errors is None else np.einsum("a,b,abij->ij", weights, weights, errors),
        n=min(task.column.n for task in tasks),
    )
    shown = tuple(
        (float(value), None, None)
        if errors is None
        else _with_interval(float(value), tasks, weights, errors[:, :, i, i], networks[i])
        for i, value in enumerate(values)
    )
    return Quality(
        name=MEAN,
        unit="accuracy",
        higher_is_better=True,
        column=column,
        floors=(0.0,) * len(networks),
        shown=shown,
        above=tuple(low is not None and low > 0 for _, low, _ in shown),
    )


def _errors(
    grid: Grid, tasks: Sequence[Quality], networks: Sequence[GridRow]
) -> NDArray[np.float64] | None:
    """Covariance of errors, shape (tasks, tasks, networks, networks); None if one is unknown."""
    covariance = np.zeros((len(tasks), len(tasks), len(networks), len(networks)))
    for place, task in enumerate(tasks):
        known = task.column.only(networks).covariance
        if known is None:
            return None
        covariance[place, place] = known
    for (a, first), (b, second) in combinations(enumerate(tasks), 2):
        covariance[a, b] = shared_covariance(grid, first.name, second.name, networks)
        covariance[b, a] = covariance[a, b].T
    return covariance


def _with_interval(
    value: float,
    tasks: Sequence[Quality],
    weights: NDArray[np.float64],
    errors: NDArray[np.float64],
    network: GridRow,
) -> tuple[float, float | None, float | None]:
    """The mean of one network, with an interval that has the shape of its tasks' own intervals.

    Their distances from the scores are added as errors are, with their correlations.

    Args:
        value: The mean.
        tasks: It is of.
        weights: Of each task's score in it.
        errors: Covariance of the errors of the tasks' scores, shape (tasks, tasks).
        network: Whose mean it is.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures: a general
        approach", Statistics in Medicine 27.
    """
    scale = np.sqrt(np.outer(errors.diagonal(), errors.diagonal()))
    related = np.divide(errors, scale, out=np.zeros_like(errors), where=scale > 0).clip(-1, 1)
    np.fill_diagonal(related, 1.0)
    shown = [task.shown[task.column.networks.index(network)] for task in tasks]
    known = [
        (score - low, high - score)
        for score, low, high in shown
        if low is not None and high is not None
    ]
    if len(known) < len(tasks):
        return value, None, None
    below, above = np.array(known).T * weights
    return (
        value,
        value - math.sqrt(max(0.0, below @ related @ below)),
        value + math.sqrt(max(0.0, above @ related @ above)),
    )


def _front(grid: Grid, quality: Quality, cost: str) -> Front:
    paid = {
        i: record
        for i, network in enumerate(quality.column.networks)
        if (record := grid.cost(network, cost)) and record.value is not None
    }
    less = grid.sample(cost).unit != "tokens_per_sec"
    points = []
    for i, record in paid.items():
        network, (value, low, high) = quality.column.networks[i], quality.shown[i]
        cost_low, cost_high = cost_interval(record)
        on_front, sure = _standing(quality, i, paid, less_is_better=less)
        points.append(
            FrontPoint(
                label=network.named,
                criterion=network.criterion,
                cost=record.value or 0.0,
                cost_low=cost_low,
                cost_high=cost_high,
                value=value,
                low=low,
                high=high,
                floor=quality.floors[i],
                on_front=on_front,
                sure=sure,
            )
        )
    return Front(
        model=grid.model,
        quality=quality.name,
        cost=cost,
        unit=grid.sample(cost).unit,
        quality_unit=quality.unit,
        lower_is_better=less,
        points=tuple(sorted(points, key=lambda p: p.cost if less else -p.cost)),
    )


def cost_interval(record: Record) -> tuple[float | None, float | None]:
    """The 95 % interval over rounds; a size is exact."""
    if record.value is None or record.unit in SIZE_UNITS:
        return record.value, record.value
    return interval_of(record)


def _standing(
    quality: Quality, place: int, paid: Mapping[int, Record], *, less_is_better: bool
) -> tuple[bool, bool]:
    """Whether a network is on the front, and whether intervals carry that.

    The trivial answerer, which costs nothing, is one of the others. Intervals of differences of
    quality are adjusted for the number of pairs (Bonferroni).

    Args:
        quality: Of all networks.
        place: Of the network in its column.
        paid: What each network that has a cost takes, by its place.
        less_is_better: Whether less of the cost is better.
    """
    tail = (1 - CONFIDENCE) / 2 / max(1, len(paid) * (len(paid) - 1) // 2)
    sign = 1.0 if less_is_better else -1.0
    cost = {i: sign * (record.value or 0.0) for i, record in paid.items()}
    beaten, surely, could = _beside_the_floor(quality, place)
    for other in paid.keys() - {place}:
        lead = float(quality.column.values[other] - quality.column.values[place])
        saved = cost[place] - cost[other]
        beaten |= lead >= 0 and saved >= 0 and (lead > 0 or saved > 0)
        low, high = _lead(quality.column, other, place, tail)
        cheaper = _cheaper(paid[other], paid[place], less_is_better)
        surely |= low > 0 and cheaper is True
        could |= high >= 0 and cheaper is not False
    return not beaten, surely if beaten else not could


def _beside_the_floor(quality: Quality, place: int) -> tuple[bool, bool, bool]:
    """Whether the floor is no worse than the score, surely better, or could be no worse."""
    floor, (value, low, high) = quality.floors[place], quality.shown[place]
    if floor is None:
        return False, False, False
    if low is None or high is None:
        low, high = -math.inf, math.inf
    could = not quality.above[place]
    if quality.higher_is_better:
        return value <= floor, high < floor, could
    return value >= floor, low > floor, could


def _lead(column: ScoreVector, j: int, i: int, tail: float) -> tuple[float, float]:
    """Interval of how much better j is than i, over the items of both."""
    errors, lead = column.covariance, float(column.values[j] - column.values[i])
    if errors is None:
        return -math.inf, math.inf
    spread = float(errors[i, i] + errors[j, j] - 2 * errors[i, j])
    half = column.quantile(tail) * math.sqrt(max(0.0, spread))
    return lead - half, lead + half


@lru_cache(maxsize=4096)
def _log_ratio(rounds: tuple[float, ...], of: tuple[float, ...]) -> tuple[float, float]:
    """The interval of the logarithm of a ratio; kept, as each quality asks for that of a cost."""
    low, high = paired_ratio(rounds, of).interval(CONFIDENCE)
    return math.log(low), math.log(high)


def _cheaper(first: Record, other: Record, less_is_better: bool) -> bool | None:
    """Whether one costs surely no more than the other; None where intervals leave it open."""
    sign = 1.0 if less_is_better else -1.0
    if first.unit in SIZE_UNITS:
        return (first.value or 0.0) <= (other.value or 0.0)
    rounds = first.items, other.items
    if len(first.items) == len(other.items) > 1 and min(*first.items, *other.items) > 0:
        low, high = _log_ratio(*rounds)
    else:
        (a, b), (c, d) = cost_interval(first), cost_interval(other)
        if a is None or b is None or c is None or d is None:
            return None
        low, high = a - d, b - c  # intervals that do not overlap
    low, high = sorted((sign * low, sign * high))
    return True if high <= 0 else False if low > 0 else None
