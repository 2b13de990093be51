"""How it was measured: what all records share, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..findings import Grid, Table
from ..stats import unit_text
from ..study import Record
from .cost_table import is_cost_record
from .network_table import floor_text

_FEW = 6  # distinct values that are still listed one by one
_SHORT = 40  # characters of a value that is still shown as the first or last of many
# Settings that the table of scores shows, beside the scores.
_IN_SCORES = {"metric", "shots", "source", "floors", "no_floor", "chance_corrected", "metrics"}
_IN_SCORES |= {"capped", "loops", "documents"}
# And those that the tables of costs show.
_IN_COSTS = {"workload", "prompts", "prompt_tokens", "new_tokens", "batch", "weight_bytes"}
_IN_COSTS |= {"attention", "decoding", "decoding_reason", "load", "is_busy", "intensity"}
_IN_COSTS |= {"flops", "moved_bytes", "least_sec", "of_limit", "bound", "host_sec", "ceilings"}
_IN_COSTS |= {"limit_reason"}
_PLACES = 3  # quantities that are named beside a value


def measured_table(name: str, grid: Grid) -> Table:
    """How each quantity was measured, and the time that all its cells took.

    A quantity that is no score has no floor.
    """
    return Table.of(
        grid.quantities,
        {
            "quantity": str,
            "unit": lambda quantity: unit_text(grid.sample(quantity).unit),
            "n": lambda quantity: format_n_range(grid.column(quantity)),
            "floor": lambda quantity: (
                floor_text(grid.sample(quantity)).removeprefix("floor ")
                if quantity in grid.quality
                else ""
            ),
            "time, all networks": lambda quantity: (
                f"{sum(record.duration_sec for record in grid.column(quantity)):.1f} s"
            ),
        },
        title=f"Measured {name}",
        about="How each quantity was measured",
    )


def format_n_range(column: Sequence[Record]) -> str:
    """How many items or repeats stand behind the values of a quantity: `"100"`, `"90 to 100"`."""
    counts = {record.n for record in column if record.value is not None} or {0}
    return " to ".join(str(n) for n in dict.fromkeys((min(counts), max(counts))))


def setting_rows(records: Sequence[Record], settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of every setting: those of the run, then those that only the records know.

    What the tables say of each task and workload is left out.

    A setting that the run left open (None) is what the records say it became; one that holds
    nothing is not set.
    """
    rows = {n: text for n, v in settings.items() if v is not None and (text := format_value(v))}
    by_name: dict[str, dict[str, list[str]]] = {}
    for record in records:
        for name, value in record.settings.items():
            if name in _IN_SCORES or (is_cost_record(record) and name in _IN_COSTS):
                continue
            places = by_name.setdefault(name, {}).setdefault(format_value(value), [])
            if record.quantity not in places:
                places.append(record.quantity)
    for name, values in by_name.items():
        rows.setdefault(name, join_values(values))
    for name in settings:
        rows.setdefault(name, "not set")
    return [(name.replace("_", " "), value) for name, value in rows.items()]


def join_values(values: Mapping[str, Sequence[str]]) -> str:
    """The values of a setting, each with the places where it is that one, if there are several."""
    if len(values) == 1:
        return next(iter(values))
    if len(values) > _FEW:
        names = list(values)
        if max(map(len, names)) > _SHORT:
            return f"{len(names)} values, in the records"
        return f"{len(names)} values, the first {names[0]}, the last {names[-1]}"
    return "; ".join(f"{value} ({_few(places)})" for value, places in values.items())


def _few(places: Sequence[str]) -> str:
    more = f" and {len(places) - _PLACES} more" if len(places) > _PLACES else ""
    return ", ".join(places[:_PLACES]) + more


def format_value(value: Any) -> str:
    """A setting in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_value(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(format_value(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)
