"""What networks cost beside dense: ratios within the rounds that both were measured in."""

from __future__ import annotations

from collections.abc import Sequence

from ..stats import Estimate, Ratio, paired_ratio, ratio_with_error
from ..study import Quantity, Record
from .grid import Grid, GridRow, estimate_of, network_of


def cost_ratios(records: Sequence[Record], what: str) -> dict[str, dict[GridRow, Estimate]]:
    """A cost that `measure` told over that of dense: by workload, of every network.

    Ratios are formed within rounds; a cost that was counted once has no interval.

    Args:
        records: Of one model.
        what: A metric of `widthwise measure`; `"working"` is the memory that the device tells.
    """
    names = ("allocated", "resident") if what == "working" else (what,)
    columns: dict[str, dict[GridRow, Record]] = {}
    for record in records:
        quantity = Quantity.parse(record.quantity)
        if quantity.metric in names and record.items:
            columns.setdefault(quantity.workload, {}).setdefault(network_of(record), record)
    ratios: dict[str, dict[GridRow, Estimate]] = {}
    for workload, column in columns.items():
        dense = next((r for n, r in column.items() if n.criterion is None), None)
        if dense is None or not all(value > 0 for value in dense.items):
            continue
        ratios[workload] = {
            network: Estimate(value=1.0, standard_error=None, n=dense.n)
            if record is dense
            else paired_ratio(record.items, dense.items)
            for network, record in sorted(column.items(), key=lambda pair: -pair[0].width)
            if record.quantity == dense.quantity and len(record.items) == len(dense.items)
        }
    return {workload: column for workload, column in ratios.items() if len(column) > 1}


def speed_ratio(grid: Grid, record: Record | None) -> Estimate | None:
    """Speed over the dense speed; None for dense itself or where either is missing.

    Rounds are paired where both records hold them; else the two errors are taken as independent.
    """
    dense = grid.of_dense(record.quantity) if record else None
    if record is None or dense is None or record is dense:
        return None
    own, other = estimate_of(record), estimate_of(dense)
    if own is None or other is None or other.value == 0:
        return None
    if record.items and len(record.items) == len(dense.items):
        return paired_ratio(record.items, dense.items)
    return ratio_with_error(own, other)


def size_ratio(grid: Grid, network: GridRow, quantity: str = "bytes") -> float | None:
    """A size over that of dense, exact; None where either is missing."""
    dense, own = grid.of_dense(quantity), grid.cells.get((network, quantity))
    if dense is None or own is None or not dense.value or not own.value:
        return None
    return own.value / dense.value


def took_turns(own: Record, other: Record) -> bool:
    """Whether two networks were timed in the same rounds, so that a ratio within a round has sense.

    The limits of the device are measured anew for each run of rounds, and attention and threads are
    chosen for all of its networks.
    """
    mine, its = own.settings, other.settings
    same = all(mine.get(name) == its.get(name) for name in ("ceilings", "attention", "threads"))
    return same and len(own.items) == len(other.items)


def turn_ratio(own: Record | None, first: Record | None) -> Ratio | None:
    """A cost over that of the first network, within rounds; None of the first itself, where one of
    them has no value, and where they did not take turns."""
    if own is None or first is None or own is first or None in (own.value, first.value):
        return None
    timed = bool(own.items) and all(value > 0 for value in (*own.items, *first.items))
    return paired_ratio(own.items, first.items) if timed and took_turns(own, first) else None
