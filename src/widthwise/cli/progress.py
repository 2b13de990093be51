"""A study on the terminal: a bar for the whole, one for each worker, and lines that stay."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from .. import measure
from ..runs import Event, Failed, Finished, Progressed, Retrying
from .progress_bar import ProgressBar, hush_transformers, progress_bar
from .prose import echo
from .tables import (
    format_record,
    print_costs,
    print_rows,
    print_table,
    print_wrapped,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ..runs import MakeEngine
    from ..study import Record, Study, StudySettings

_QUIET_SEC = 20.0  # between two lines that tell how far it is, where there is no terminal
_LOUD = ("accuracy", "bits_per_byte", "perplexity", "sec")  # units of records that get a line


class _Display:
    """Follows the events of an executor."""

    def __init__(self, bar: ProgressBar) -> None:
        self._bar = bar
        self._workers: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}  # first cell of a unit to the share that is done
        self._said_sec = time.monotonic()
        self.study: Study | None = None

    def on_record(self, record: Record) -> None:
        """A line for each new number that a reader waits for, and for each that is missing."""
        if record.unit in _LOUD and not record.quantity.endswith(("block_prefill", "block_decode")):
            self._bar.print(f"{record.model}, {format_record(record)}")

    def on_event(self, event: Event) -> None:
        """Move the bars, and say what went wrong."""
        from ..study import CALIBRATING

        if isinstance(event, Progressed):
            label = event.text if event.text.startswith(CALIBRATING) else event.job.label
            self._move(event.worker, event.job.key, label, event.share)
        elif isinstance(event, Retrying):
            self._bar.print(f"{event.job.label}: {event.reason}; attempt {event.attempt}")
        elif isinstance(event, Finished | Failed):
            self._move(event.worker, event.job.key, event.job.label, 1.0)
            if isinstance(event, Failed) and event.details:
                self._bar.print(f"{event.job.label}: {event.reason}\n{event.details}")

    def _move(self, worker: str, key: str, label: str, share: float) -> None:
        assert self.study is not None
        self._shares[key] = share
        bars = self._bar.bars
        if worker not in self._workers:
            self._workers[worker] = bars.add_task(worker, total=1.0, left="")
        name = f"{worker}: {label}"
        bars.update(self._workers[worker], completed=share, description=escape(name))
        done, total = self.study.share(self._shares), len(self.study.units)
        counted = f"pieces: {total - len(self.study.missing)} of {total}"
        self._bar.update(done, counted)
        if time.monotonic() - self._said_sec > _QUIET_SEC:
            self._said_sec = time.monotonic()
            self._bar.say(f"{counted}, about {done:.0%} of the time; {name}", self._bar.left)


def run_study(out: Path, settings: StudySettings, engine: MakeEngine | None) -> list[Record]:
    """Run a study under its bars, write its report and print its tables."""
    from ..report import write_report
    from ..study import Study, calibration_notes, read_study

    with progress_bar() as bar:

        def on_progress(label: str) -> None:
            hush_transformers()  # not before: what is refused is refused without loading them
            bar.describe(label)

        display = _Display(bar)
        study = display.study = Study(
            out,
            settings,
            engine=engine,
            on_record=display.on_record,
            on_event=display.on_event,
            on_progress=on_progress,
        )
        records = study.run()
    print_study(records)
    for note in calibration_notes(records):
        echo(note, err=True)
    write_report([read_study(out)], out / "report.html")
    return records


def print_study(records: list[Record]) -> None:
    """The scores model by model, then the costs."""
    from ..report import is_cost_record

    scores = [record for record in records if not is_cost_record(record)]
    models = list(dict.fromkeys(record.model for record in scores))
    if any(record.unit not in ("count", "bytes") for record in scores):
        for model in models:
            if len(models) > 1:
                echo(f"\n{model}")
            scores_of_model = [record for record in scores if record.model == model]
            print_table(scores_of_model, [record for record in scores if record.model != model])
    if costs := [record for record in records if is_cost_record(record)]:
        print_costs(costs)


def print_plan(study: Study) -> None:
    """All pieces that are left, with the least time that this device allows."""
    console = Console(highlight=False)
    pieces = study.missing
    device, dtype = str(study.settings.device), str(study.settings.dtype)
    ceilings = measure.measure_peak_rates(device, dtype)
    rows = [
        (piece.label, str(len(piece.keys)), _time(piece.amount.least_sec(ceilings)))
        for piece in pieces
    ]
    if rows:
        print_rows(console, ("piece", "cells", "at least"), rows)
    cells = sum(len(piece.keys) for piece in pieces)
    print_wrapped(
        console, f"\n{study.resumed}; cells to measure: {cells:,}; nothing was measured or written."
    )
    if not pieces:
        return
    least = sum(piece.amount.least_sec(ceilings) for piece in pieces)
    print_wrapped(
        console,
        f"At least {_time(least)} on one {ceilings.name} ({dtype}), if it did nothing but compute "
        "and move bytes at its measured limits; texts at their longest.",
    )
    for sentence in study.to_calibrate:
        print_wrapped(console, f"{sentence}, which comes on top.")
    if (pace := study.pace(ceilings)) is not None:
        print_wrapped(
            console, f"At the pace of what is measured here already: {_time(pace * least)}."
        )
    memory = max(piece.memory_bytes for piece in pieces)
    print_wrapped(
        console, f"Weights in memory at once: {memory / 1e9:.2f} GB, and more for the work itself."
    )


def planned_values(study: Study) -> dict[str, Any]:
    """The same as values: seconds are the least that this device allows."""
    pieces = study.missing
    ceilings = measure.measure_peak_rates(str(study.settings.device), str(study.settings.dtype))
    return {
        "pieces": [
            {
                "label": piece.label,
                "cells": len(piece.keys),
                "least_sec": piece.amount.least_sec(ceilings),
                "memory_bytes": piece.memory_bytes,
            }
            for piece in pieces
        ],
        "device": ceilings.name,
    }


def _time(seconds: float) -> str:
    """`2 h 05 min`, `3 min 20 s`, `0.4 s`.

    >>> _time(7500), _time(200), _time(0.42)
    ('2 h 05 min', '3 min 20 s', '0.4 s')
    """
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"
    if seconds >= 60:
        return f"{int(seconds // 60)} min {int(seconds % 60):02} s"
    return f"{seconds:.1f} s"
