"""The full table: a network a row, as text that a terminal and a page both print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stats import Estimate, paired_ratio, ratio_with_error
from ..study.records import Record
from .grid import Grid, Network, arrange, estimate_of
from .judge import CONFIDENCE, Judgements, beats_its_floor, beside_dense

NOT_MEASURED = "–"  # noqa: RUF001  an en dash, as tables have it


def table_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: dense, then each criterion from wide to narrow, then the floors.

    A score reads `0.412 ± 0.049`, and on a second line of its cell the word it may be called beside
    dense; a speed has its ratio to dense there with a 95 % interval: `1.72 [1.66, 1.77]`. A missing
    value reads `missing [1]`, and `missing_notes` says why; a dash: the study did not ask for it.

    Raises:
        RunError: As `arrange`: no records, or records that do not belong together.
    """
    grid = arrange(records)
    return rows_of(grid, beside_dense(grid))


def missing_notes(records: Sequence[Record]) -> list[str]:
    """A line for each reason why a value of the table is missing: `[1] decode of ppm 1.60x: ...`.

    Raises:
        RunError: As `arrange`.
    """
    grid = arrange(records)
    notes = []
    for reason, number in _reasons(grid).items():
        where: dict[str, list[str]] = {}
        for (network, quantity), record in _in_order(grid):
            if record.reason == reason:
                where.setdefault(quantity, []).append(network.label)
        places = "; ".join(
            f"{quantity} of {', '.join(labels)}" for quantity, labels in where.items()
        )
        notes.append(f"[{number}] {places}: {reason}")
    return notes


def rows_of(grid: Grid, judged: Judgements) -> tuple[list[str], list[list[str]]]:
    """The table of records that are arranged and judged already."""
    columns = (*grid.sizes, *grid.quality, *grid.speeds)
    header = ["criterion", "asked", "width", "I/H", *columns]
    reasons = _reasons(grid)
    rows = []
    for network in grid.networks:
        row = [network.criterion or "dense", network.asked, str(network.width), network.ratio]
        for quantity in columns:
            record = grid.cells.get((network, quantity))
            if record is None:
                row.append(NOT_MEASURED)
            elif record.reason is not None:
                row.append(f"missing [{reasons[record.reason]}]")
            else:
                row.append(_cell(grid, network, record, judged))
        rows.append(row)
    floors = [_floor(grid, quantity) for quantity in columns]
    if any(floor != NOT_MEASURED for floor in floors):
        rows.append(["floor", "", "", "", *floors])
    return header, rows


def number(value: float, unit: str) -> str:
    """A value as the page prints it: three decimals of a score, three to four digits otherwise.

    Example:
        >>> number(0.41249, "accuracy"), number(134515008, "count"), number(269e6, "bytes")
        ('0.412', '134.5 M', '269.0 MB')
    """
    if unit in ("count", "bytes"):
        sign = "B" if unit == "bytes" else ""
        for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= scale:
                return f"{value / scale:.1f} {prefix}{sign}"
        return f"{value:g} {sign}".strip()
    if unit == "tokens_per_sec":
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:.3f}"


def speed_ratio(grid: Grid, record: Record) -> Estimate | None:
    """Speed over the dense speed; None for dense itself or where either is missing.

    Rounds are paired where both records hold them; else the two errors are taken as independent.
    """
    dense = grid.cells.get((grid.dense, record.quantity)) if grid.dense else None
    own, other = estimate_of(record), estimate_of(dense) if dense else None
    if record is dense or own is None or other is None or other.value == 0:
        return None
    if dense is not None and record.items and len(record.items) == len(dense.items):
        return paired_ratio(record.items, dense.items)
    return ratio_with_error(own, other)


def _cell(grid: Grid, network: Network, record: Record, judged: Judgements) -> str:
    score = estimate_of(record)
    assert score is not None  # only records without a reason come here
    text = number(score.value, record.unit)
    if score.standard_error is not None:
        text += f" ± {_error(score.standard_error, text, record.unit)}"
    if record.quantity in grid.speeds:
        ratio = speed_ratio(grid, record)
        return text if ratio is None else f"{text}\n{_with_interval(ratio)}"
    if (network, record.quantity) in judged:
        return f"{text}\n{judged[network, record.quantity].word}"
    if network.criterion is None and record.floor is not None:
        return f"{text}\n{'beats the floor' if beats_its_floor(record) else 'at the floor'}"
    return text


def _error(error: float, value: str, unit: str) -> str:
    """A standard error with as many decimals as the printed value has."""
    if unit != "tokens_per_sec":
        return number(error, unit)
    return f"{error:.{len(value.partition('.')[2])}f}"


def _with_interval(ratio: Estimate) -> str:
    if ratio.standard_error is None:
        return f"{ratio.value:.2f}"
    low, high = ratio.interval(CONFIDENCE)
    return f"{ratio.value:.2f} [{low:.2f}, {high:.2f}]"


def _floor(grid: Grid, quantity: str) -> str:
    for record in grid.column(quantity):
        if record.floor is not None:
            return f"{number(record.floor, record.unit)}\n{record.floor_kind or ''}".strip()
    return NOT_MEASURED


def _in_order(grid: Grid) -> list[tuple[tuple[Network, str], Record]]:
    places = [(n, q) for n in grid.networks for q in grid.quantities if (n, q) in grid.cells]
    return [(place, grid.cells[place]) for place in places]


def _reasons(grid: Grid) -> Mapping[str, int]:
    """Each distinct reason and the number of its note."""
    found = dict.fromkeys(record.reason for _, record in _in_order(grid) if record.reason)
    return {reason: index for index, reason in enumerate(found, 1)}
