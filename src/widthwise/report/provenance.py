"""How it was measured: what all records share, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..findings.grid import Grid
from ..study.records import Record
from .table import floor_text

_FEW = 6  # distinct values that are still listed one by one
_SHORT = 40  # characters of a value that is still shown as the first or last of many
# Settings that the table of scores shows, beside the scores.
_IN_SCORES = {"metric", "shots", "source", "floors", "no_floor", "chance_corrected", "metrics"}
_IN_SCORES |= {"capped", "loops"}


def measured_rows(grid: Grid) -> list[tuple[str, str, str, str, str]]:
    """For each quantity: its name, unit, n, floor, and the time that all its cells took.

    A quantity that is no score has no floor.
    """
    rows = []
    for quantity in grid.quantities:
        column = grid.column(quantity)
        sample = grid.sample(quantity)
        floor = floor_text(sample).removeprefix("floor ") if quantity in grid.quality else ""
        spent = f"{sum(record.duration_sec for record in column):.1f} s"
        rows.append((quantity, sample.unit.replace("_", " "), counted(column), floor, spent))
    return rows


def counted(column: Sequence[Record]) -> str:
    """How many items or repeats stand behind the values of a quantity: `"100"`, `"90 to 100"`."""
    counts = {record.n for record in column if record.value is not None} or {0}
    return " to ".join(str(n) for n in dict.fromkeys((min(counts), max(counts))))


def setting_rows(records: Sequence[Record], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every setting: those of the run, then those that only the records know.

    What the table of scores says of each task is left out.

    A setting that the run left open (None) is what the records say it became.
    """
    rows = {name: _plain(value) for name, value in settings.items() if value is not None}
    found: dict[str, dict[str, list[str]]] = {}
    for record in records:
        for name, value in record.settings.items():
            if name in _IN_SCORES:
                continue
            places = found.setdefault(name, {}).setdefault(_plain(value), [])
            if record.quantity not in places:
                places.append(record.quantity)
    for name, values in found.items():
        rows.setdefault(name, _listed(values))
    for name in settings:
        rows.setdefault(name, "not set")
    return [(name.replace("_", " "), value) for name, value in rows.items()]


def _listed(values: Mapping[str, Sequence[str]]) -> str:
    if len(values) == 1:
        return next(iter(values))
    if len(values) > _FEW:
        names = list(values)
        if max(map(len, names)) > _SHORT:
            return f"{len(names)} values, in the records"
        return f"{len(names)} values, the first {names[0]}, the last {names[-1]}"
    return "; ".join(f"{value} ({', '.join(places)})" for value, places in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(part) for part in value)
    return "not set" if value is None else str(value)
