"""Numbers as text, and the table of the networks: what was cut, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..findings import Grid, GridRow, build_grid, estimate_of, speed_ratio
from ..stats import estimate_text, grouped, number, with_error
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
    rows = rows_of(build_grid(records))
    return list(rows[0]), [list(row.values()) for row in rows]


def missing_notes(records: Sequence[Record]) -> list[str]:
    """A line for each reason why a value is missing: `[1] decode of ppm 1.60x: ...`.

    Raises:
        RunError: As `build_grid`.
    """
    grid = build_grid(records)
    notes = []
    for index, (reason, gaps) in enumerate(_gaps(grid).items(), 1):
        where = grouped(gaps).items()
        places = "; ".join(f"{quantity} of {', '.join(names)}" for quantity, names in where)
        notes.append(f"[{index}] {places}: {reason}")
    return notes


def rows_of(grid: Grid) -> list[dict[str, str]]:
    """The table of records that are arranged already: the text of each column."""
    reasons = reasons_of(grid)
    return [
        {
            "criterion": network.shown,
            "asked": network.asked_for,
            "width": f"{network.width:,}",
            "I/H": network.ratio,
            **{q: _cell(grid, network, q, reasons) for q in (*grid.sizes, *grid.speeds)},
        }
        for network in grid.networks
    ]


def reasons_of(grid: Grid) -> Mapping[str, int]:
    """Each distinct reason for a missing value and the number of its note."""
    return {reason: index for index, reason in enumerate(_gaps(grid), 1)}


def _gaps(grid: Grid) -> dict[str, list[tuple[str, str]]]:
    """Quantity and network of each missing value, by the reason."""
    return grouped(
        (record.reason, (quantity, network.named))
        for network in grid.networks
        for quantity in grid.quantities
        if (record := grid.cells.get((network, quantity))) and record.reason
    )


def floor_text(record: Record) -> str:
    """`floor 0.269: always 'D', on all 14,042 documents`, or why there is none."""
    if record.floor is not None:
        kind = f": {record.floor_kind}" if record.floor_kind else ""
        counted = f", on all {record.floor_n:,} documents" if record.floor_n else ""
        return f"floor {number(record.floor, record.unit)}{kind}{counted}"
    reason = record.settings.get("no_floor")
    return f"no floor: {reason}" if reason else "no floor"


def _cell(grid: Grid, network: GridRow, quantity: str, reasons: Mapping[str, int]) -> str:
    record = grid.cost(network, quantity)
    if record is None:
        return NOT_MEASURED
    measured = estimate_of(record)
    if measured is None:
        return f"missing [{reasons[record.reason or '']}]"
    text = with_error(measured, record.unit)
    ratio = speed_ratio(grid, record) if quantity in grid.speeds else None
    return text if ratio is None else f"{text}\n{estimate_text(ratio)}"
