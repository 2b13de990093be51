"""The numbers that decide the paper's claims: slopes, mean changes and leads, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..stats import Difference, add_draw_variance, correlation_lead, paired_difference
from ..study import Record
from .comparisons import CONFIDENCE, log_ratio
from .grid import Grid, GridRow
from .types import Effect

TENTH = 0.1  # slopes are for each tenth of the neurons that is removed


@dataclass(frozen=True, kw_only=True)
class Column:
    """One task over some networks, all asked the same items.

    Attributes:
        task: Its name.
        networks: As many as rows.
        items: Shape (networks, items), turned so that more is better; of perplexities, minus the
            parts of their logarithms.
        removed: Share of the neurons that each network has lost, shape (networks,).
    """

    task: str
    networks: tuple[GridRow, ...]
    items: NDArray[np.float64]
    removed: NDArray[np.float64]

    @property
    def means(self) -> NDArray[np.float64]:
        """Score of each network."""
        scores: NDArray[np.float64] = self.items.mean(axis=1)
        return scores


def column_of(grid: Grid, task: str, networks: Sequence[GridRow]) -> Column | None:
    """A task of these networks, as far as they have items; None where there are fewer than two, or
    where they were not all asked the same ones, as after an early stop."""
    cells = [(n, grid.cells[n, task]) for n in networks if (n, task) in grid.cells]
    valued = [(n, log_ratio(r)) for n, r in cells if r.value is not None and r.items]
    if grid.dense is None or len(valued) < 2 or len({len(r.items) for _, r in valued}) > 1:
        return None
    turned = [_sign(record) * np.array(record.items, dtype=np.float64) for _, record in valued]
    return Column(
        task=task,
        networks=tuple(n for n, _ in valued),
        items=np.stack(turned),
        removed=np.array([1 - n.width / grid.dense.width for n, _ in valued]),
    )


def _sign(record: Record) -> int:
    return 1 if record.higher_is_better else -1


def slope(column: Column) -> Effect:
    """How the score changes for each tenth of the neurons that is removed, by least squares.

    The slope of a mean is the mean of the items' slopes, so that its error is that of a mean over
    items, and the widths need not be independent of each other.
    """
    apart = column.removed - column.removed.mean()
    slopes = TENTH * apart @ column.items / (apart @ apart)
    return _effect(f"{column.task}, for each {100 * TENTH:.0f} % removed", _beside(slopes, 0.0))


def mean_change(column: Column, mark: float) -> Effect:
    """The mean of all cuts less dense, which comes first; p is of its distance from a mark."""
    change = column.items[1:].mean(axis=0)
    found = paired_difference(list(change), list(column.items[0]), confidence=CONFIDENCE)
    from_mark = _beside(change - column.items[0], mark)
    found = replace(found, p_value=from_mark.p_value)
    return _effect(f"{column.task}, mean of all cuts less dense", found)


def lead_over_chance(column: Column, draws: Sequence[Column]) -> Effect:
    """The mean over widths less that of draws of the control, whose luck is in the interval.

    Args:
        column: The cuts of a criterion.
        draws: The same widths in the same order, of each draw; two or more.
    """
    own = column.items.mean(axis=0)
    drawn = np.stack([draw.items.mean(axis=0) for draw in draws])
    found = paired_difference(list(own), list(drawn.mean(axis=0)), confidence=CONFIDENCE)
    scores = [float(score) for score in drawn.mean(axis=1)]
    with_luck = add_draw_variance(found, scores, confidence=CONFIDENCE, beside_one_more=True)
    return _effect(column.task, with_luck)


def lead_of_correlation(first: Column, second: Column, target: Column) -> Effect:
    """r of the first task with the target less that of the second, over the networks of all three.

    The networks are those that were measured, and no sample of others (`correlation_lead`).
    """
    shared = [n for n in first.networks if n in second.networks and n in target.networks]
    rows = [
        column.items[[column.networks.index(n) for n in shared]]
        for column in (first, second, target)
    ]
    found = correlation_lead(*rows, confidence=CONFIDENCE)
    what = f"r({target.task}, {first.task}) less r({target.task}, {second.task})"
    return _effect(what, found)


def _beside(values: NDArray[np.float64], mark: float) -> Difference:
    return paired_difference(list(values), [mark] * len(values), confidence=CONFIDENCE)


def _effect(what: str, found: Difference) -> Effect:
    return Effect(
        what=what, value=found.value, low=found.low, high=found.high, p_value=found.p_value
    )
