"""What llama.cpp does in a second with GGUF files: a table a workload, a row a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..findings import Table, estimate_of, load_warnings, turn_ratio
from ..stats import NOTHING, counted, estimate_text, number, with_error
from ..study import RUNTIME, Quantity, Record


@dataclass(frozen=True, kw_only=True)
class _FileRow:
    """A file on one workload: its records by metric, and those of the first row."""

    cells: Mapping[str, Record]
    first: Mapping[str, Record]

    @property
    def any(self) -> Record:
        return next(iter(self.cells.values()))

    def measured(self, metric: str) -> str:
        record = self.cells.get(metric)
        estimate = estimate_of(record)
        return with_error(estimate, record.unit) if record and estimate else NOTHING

    def ratio(self, metric: str) -> str:
        """To the first row, within rounds; nothing for the first, or where one has no rounds."""
        found = turn_ratio(self.cells.get(metric), self.first.get(metric))
        return "" if found is None else estimate_text(found, decimals=3)


_COLUMNS: Mapping[str, Callable[[_FileRow], str]] = {
    "file": lambda row: row.any.model,
    "type": lambda row: str(row.any.settings["file_type"] or NOTHING),
    "width": lambda row: f"{row.any.width:,}",
    "bytes": lambda row: number(float(row.any.settings["weight_bytes"]), "bytes"),
    "prompt tokens/s": lambda row: row.measured("prefill"),
    "prompt tokens/s ratio": lambda row: row.ratio("prefill"),
    "new tokens/s": lambda row: row.measured("decode"),
    "new tokens/s ratio": lambda row: row.ratio("decode"),
}


def is_file_record(record: Record) -> bool:
    """Whether llama.cpp timed it with a file."""
    return record.settings.get("runtime") == RUNTIME


def file_cost_table(name: str, records: Sequence[Record]) -> Table:
    """The files on one workload, in the order in which they were asked for.

    Args:
        name: The workload.
        records: Those of one run, `is_file_record` each.
    """
    files: dict[str, dict[str, Record]] = {}
    for record in records:
        files.setdefault(record.model, {})[Quantity.parse(record.quantity).metric] = record
    first = next(iter(files.values()))
    reasons = dict.fromkeys(record.reason for record in records if record.reason)
    return Table.of(
        (_FileRow(cells=cells, first=first) for cells in files.values()),
        _COLUMNS,
        title=name,
        about=_about(next((record for record in records if record.items), records[0])),
        notes=(*reasons, *load_warnings(records)),
    )


def _about(record: Record) -> str:
    """What was done, by what, and when."""
    settings = record.settings
    low, _ = settings["prompt_tokens"]
    done = (
        f"{RUNTIME} reads a prompt of {counted(low, 'token')}, and writes "
        f"{counted(settings['new_tokens'], 'token')}"
    )
    if not record.n:
        return done
    day = f"{settings['time'][:16].replace('T', ' ')} UTC"
    return (
        f"{done}; {settings['build']}, {settings['device']}, "
        f"{counted(settings['threads'], 'thread')}, {record.n} rounds; {day}"
    )
