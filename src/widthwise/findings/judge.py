"""What each score may be called, beside dense and beside the random control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..stats import (
    Difference,
    Verdict,
    beats_floor,
    holm,
    paired_difference,
    sequential_difference,
    verdict,
)
from ..study.records import Record
from .grid import Grid, Network, estimate_of

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One score beside another one.

    Attributes:
        word: By the rule of `stats.verdict`.
        difference: The score minus the other, over their items; None where they share none.
        p_value: Of the difference, adjusted by Holm's method over its family.
        could_tell: Whether there are items enough: if all of them had changed in one direction, p
            would be small enough. Otherwise `no change shown` says nothing.
        anytime: Whether interval and p-value hold wherever the measurement was stopped.
    """

    word: Verdict
    difference: Difference | None
    p_value: float | None
    could_tell: bool = True
    anytime: bool = False


Judgements = Mapping[tuple[Network, str], Judged]


def beside_dense(grid: Grid) -> Judgements:
    """Every pruned score beside the dense one; all of one quantity are one family of tests.

    Raises:
        RunError: Two networks were measured on different numbers of items, and not because they
            were stopped early.
    """
    judged: dict[tuple[Network, str], Judged] = {}
    for quantity in grid.quality:
        dense = grid.cells.get((grid.dense, quantity)) if grid.dense else None
        cut = [n for n in grid.networks if n.criterion is not None and (n, quantity) in grid.cells]
        found = [(n, grid.cells[n, quantity]) for n in cut]
        judged |= _judge_family(quantity, [(n, record, dense) for n, record in found])
    return judged


def beside_control(grid: Grid, criterion: str, control: str) -> Judgements:
    """Every score of a criterion beside the control's at the same width; families as above."""
    judged: dict[tuple[Network, str], Judged] = {}
    partners = {n.width: n for n in grid.cut_by(control)}
    for quantity in grid.quality:
        family = []
        for network in grid.cut_by(criterion):
            own = grid.cells.get((network, quantity))
            other = grid.cells.get((partners.get(network.width, network), quantity))
            if own and other and own is not other and other.value is not None:
                family.append((network, own, other))
        judged |= _judge_family(quantity, family)
    return judged


def beats_its_floor(record: Record | None) -> bool:
    """Whether there is a floor, a value, and the value's interval is beyond the floor."""
    score = estimate_of(record) if record else None
    if record is None or score is None or record.floor is None:
        return False
    return beats_floor(
        score,
        record.floor,
        higher_is_better=bool(record.higher_is_better),
        confidence=CONFIDENCE,
    )


def _judge_family(
    quantity: str, family: Sequence[tuple[Network, Record, Record | None]]
) -> dict[tuple[Network, str], Judged]:
    differences = {network: _difference(own, other) for network, own, other in family}
    tested = {network: d.p_value for network, d in differences.items() if d is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    judged = {}
    for network, own, other in family:
        score, p_value = estimate_of(own), adjusted.get(network)
        if score is None or own.higher_is_better is None:
            continue
        word = verdict(
            differences[network],
            score=score,
            floor=own.floor,
            higher_is_better=own.higher_is_better,
            p_value=p_value,
            confidence=CONFIDENCE,
        )
        difference = differences[network]
        anytime = difference is not None and _stops_early(own, other)
        judged[network, quantity] = Judged(
            word=word,
            difference=difference,
            p_value=p_value,
            could_tell=anytime or _could_tell(difference, len(tested)),
            anytime=anytime,
        )
    return judged


def _could_tell(difference: Difference | None, family: int) -> bool:
    """Whether the smallest p-value that so many items can give would be small enough."""
    return difference is not None and family * 2.0 ** (1 - difference.n) <= 1 - CONFIDENCE


def _difference(own: Record, other: Record | None) -> Difference | None:
    if other is None or not own.items or not other.items:
        return None
    compare = sequential_difference if _stops_early(own, other) else paired_difference
    return compare(own.items, other.items, confidence=CONFIDENCE)


def _stops_early(own: Record, other: Record | None) -> bool:
    """Whether both were measured until certain enough, so that they may differ in length.

    Only shares of right answers are: other metrics have no bounds and take all items. The items of
    both come in the same random order, drawn for the task.
    """
    if other is None or None in (own.settings.get("until"), other.settings.get("until")):
        return False
    if own.unit != "accuracy":
        return False
    return all(0 <= item <= 1 for item in (*own.items, *other.items))
