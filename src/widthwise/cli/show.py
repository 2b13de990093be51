"""A study on the terminal: its progress, its records as they come, its table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from ..study import Record

    class _Runs(Protocol):
        def run(self) -> list[Record]: ...

    Study = TypeVar("Study", bound=_Runs)

WIDE = 200  # columns of a terminal on which the whole table fits; a narrower one gets it in two
COSTS = ("parameters", "bytes", "prefill", "decode")


def run(make: Callable[..., Study]) -> tuple[Study, list[Record]]:
    """Run a study under a progress bar with the time that is left.

    Args:
        make: Makes the study from the keywords `on_record` and `on_progress`.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:32}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    left = _TimeLeft()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("preparing", total=1.0, left="")

        def on_progress(share: float, label: str) -> None:
            if not console.is_terminal and share == 0:
                console.print(label)
            bar.update(task, completed=share, description=label, left=left(share))

        study = make(
            on_record=lambda record: console.print(_line(record), highlight=False, markup=False),
            on_progress=on_progress,
        )
        try:
            return study, study.run()
        except KeyboardInterrupt:
            raise click.ClickException(
                "interrupted; the same command goes on where it was"
            ) from None


class _TimeLeft:
    """Time left in words, from the pace since the first measurement of this very run."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def __call__(self, share: float) -> str:
        now = time.monotonic()
        if self._begun is None or not share:
            self._begun = (now, share) if share else None
            return ""
        begun, before = self._begun
        if share - before < 0.005:
            return ""
        seconds = (now - begun) * (1 - share) / (share - before)
        return f"{int(seconds // 60)} min {int(seconds % 60):02} s left"


def _line(record: Record) -> str:
    """A record as one line, so that the first numbers are seen at once."""
    name = f"{record.criterion} {record.asked}" if record.criterion else "dense"
    if record.value is None:
        return f"{name:14} {record.quantity:10} missing: {record.reason}"
    value = f"{record.value:,.3f}" if record.value < 1000 else f"{record.value:,.0f}"
    error = "" if record.standard_error is None else f" ± {record.standard_error:.3f}"
    floor = "" if record.floor is None else f"  (floor {record.floor:.3f})"
    return f"{name:14} {record.quantity:10} {value}{error} {record.unit}{floor}"


def print_table(records: list[Record]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..report import answer, missing_notes, table_rows

    header, rows = table_rows(records)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE  # a file or a pipe has no edge to wrap at
    names, costs = [0, 1], [2, 3, *(i for i, h in enumerate(header) if h in COSTS)]
    scores = [i for i in range(len(header)) if i not in names + costs]
    whole = [[*names, *costs[:4], *scores, *costs[4:]]]
    for columns in whole if console.width >= WIDE else [[*names, *scores], [*names, *costs]]:
        table = Table(show_lines=True)
        for column in columns:
            table.add_column(escape(header[column]))
        for row in rows:
            table.add_row(*(escape(row[column]) for column in columns))
        console.print(table)
    console.print("Scores and speeds ± one standard error; ratios with 95 % intervals.")
    for sentence in [*missing_notes(records), *answer(records)]:
        console.print(sentence, markup=False, highlight=False)
