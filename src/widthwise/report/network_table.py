"""Numbers as text, and the table of the networks: what was cut, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..findings import Grid, GridRow, build_grid, estimate_of, speed_ratio
from ..stats import estimate_text, number, with_error
from ..study import Record

NOT_MEASURED = "–"  # noqa: RUF001  an en dash, as tables have it


def network_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows, a network a row: dense, then each criterion from wide to narrow.

    Columns are what was asked for and what was got, then sizes and speeds as far as records have
    them. A speed has its ratio to dense on a second line of its cell, with a 95 % interval:
    `1.72 [1.66, 1.77]`. A missing value reads `missing [1]`, and `missing_notes` says why; a dash:
    the study did not ask for it.

    Raises:
        RunError: As `build_grid`: no records, or records that do not belong together.
    """
    return rows_of(build_grid(records))


def missing_notes(records: Sequence[Record]) -> list[str]:
    """A line for each reason why a value is missing: `[1] decode of ppm 1.60x: ...`.

    Raises:
        RunError: As `build_grid`.
    """
    grid = build_grid(records)
    notes = []
    for reason, index in reasons_of(grid).items():
        where: dict[str, list[str]] = {}
        for (network, quantity), record in _in_order(grid):
            if record.reason == reason:
                where.setdefault(quantity, []).append(network.named)
        places = "; ".join(
            f"{quantity} of {', '.join(labels)}" for quantity, labels in where.items()
        )
        notes.append(f"[{index}] {places}: {reason}")
    return notes


def rows_of(grid: Grid) -> tuple[list[str], list[list[str]]]:
    """The table of records that are arranged already."""
    columns = (*grid.sizes, *grid.speeds)
    reasons = reasons_of(grid)
    rows = []
    for network in grid.networks:
        row = [network.shown, network.asked_for, f"{network.width:,}", network.ratio]
        for quantity in columns:
            record = grid.cost(network, quantity)
            if record is None:
                row.append(NOT_MEASURED)
            elif record.reason is not None:
                row.append(f"missing [{reasons[record.reason]}]")
            else:
                row.append(_cell(grid, record))
        rows.append(row)
    return ["criterion", "asked", "width", "I/H", *columns], rows


def reasons_of(grid: Grid) -> Mapping[str, int]:
    """Each distinct reason for a missing value and the number of its note."""
    reasons = dict.fromkeys(record.reason for _, record in _in_order(grid) if record.reason)
    return {reason: index for index, reason in enumerate(reasons, 1)}


def floor_text(record: Record) -> str:
    """`floor 0.269: always 'D', on all 14,042 documents`, or why there is none."""
    if record.floor is not None:
        kind = f": {record.floor_kind}" if record.floor_kind else ""
        counted = f", on all {record.floor_n:,} documents" if record.floor_n else ""
        return f"floor {number(record.floor, record.unit)}{kind}{counted}"
    reason = record.settings.get("no_floor")
    return f"no floor: {reason}" if reason else "no floor"


def _cell(grid: Grid, record: Record) -> str:
    measured = estimate_of(record)
    assert measured is not None  # only records without a reason come here
    text = with_error(measured, record.unit)
    ratio = speed_ratio(grid, record) if record.quantity in grid.speeds else None
    return text if ratio is None else f"{text}\n{estimate_text(ratio)}"


def _in_order(grid: Grid) -> list[tuple[tuple[GridRow, str], Record]]:
    places = [(n, q) for n in grid.networks for q in grid.quantities if (n, q) in grid.cells]
    return [(place, grid.cells[place]) for place in places]
