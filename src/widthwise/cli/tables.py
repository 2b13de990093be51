"""A study on the terminal: its progress, its records as they come, its table at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..stats import grouped, is_perplexity, number, with_error
from .progress_bar import hush_transformers, progress_bar

if TYPE_CHECKING:
    from ..findings import Grid
    from ..study import Record

    class _Runs(Protocol):
        def run(self) -> list[Record]: ...

    Study = TypeVar("Study", bound=_Runs)

WIDE = 400  # columns of what is no terminal: more than any table takes
_GAP = 2  # spaces between two columns
_NAME = len("activation+refit 2.4x")  # columns of a network's name in a line
_KEY = (
    "Scores and speeds ± one standard error, or with a 95 % interval where all items are the same; "
    "differences and ratios with 95 % intervals"
)
_PERPLEXITY_KEY = "; of perplexities a difference is a ratio: x 1.10 is a tenth more"


def run(
    make: Callable[..., Study],
    is_shown: Callable[[Record], bool] | None = None,
    *,
    with_model: bool = False,
) -> tuple[Study, list[Record]]:
    """Run a study under a progress bar with the time that is left.

    Args:
        make: Makes the study from the keywords `on_record` and `on_progress`.
        is_shown: Which records get a line as they come; by default all but sizes, which are exact
            and in the table.
        with_model: Whether the line names the model.
    """
    from ..findings import SIZE_UNITS

    with progress_bar() as bar:

        def on_progress(share: float, label: str) -> None:
            if share == 0:
                hush_transformers()  # not before: what is refused is refused without loading them
            bar.tell(share, label)

        def on_record(record: Record) -> None:
            if is_shown(record) if is_shown else record.unit not in SIZE_UNITS:
                name = f"{record.model}, " if with_model else ""
                bar.print(f"{name}{format_record(record)}")

        study = make(on_record=on_record, on_progress=on_progress)
        return study, study.run()


def format_record(record: Record) -> str:
    """A record as one line, so that the first numbers are seen at once."""
    from ..findings import SIZE_UNITS, estimate_of, network_of
    from ..study import names_its_unit, quantity_text

    whole = network_of(record).whole
    name = f"{record.criterion} {record.asked}" if record.criterion else whole
    begin = f"{name:{_NAME}} {quantity_text(record.quantity):10}"
    if record.value is None:
        return f"{begin} missing: {record.reason}"
    value, score = f"{record.value:,.0f}", estimate_of(record)
    if score is not None and record.unit not in SIZE_UNITS:
        value = with_error(score, record.unit)
    if record.unit == "sec" or names_its_unit(record.quantity):
        return f"{begin} {value}"
    floor = "" if record.floor is None else f"  (floor {number(record.floor, record.unit)})"
    return f"{begin} {value} {record.unit}{floor}"


def print_table(records: list[Record], others: Sequence[Record] = ()) -> None:
    """The networks and their costs, the scores task by task, what is missing, and the answer.

    Args:
        records: Of one model.
        others: Of other models, among them perhaps the parent of a model that was cut before.
    """
    from ..findings import answer, build_grid
    from ..report import (
        BESIDE_CONTROL,
        CHANCE_CORRECTED,
        COLUMNS,
        P_VALUE,
        missing_notes,
        network_rows,
        nonempty_columns,
        score_tables,
    )

    console = table_console()
    header, networks = network_rows(records)
    print_rows(console, header, networks)
    tables = score_tables(records)
    rows = [row for task in tables for row in (COLUMNS, *task.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for task in tables:
        print_wrapped(console, f"\n{task.task}: {task.about}; {task.floor}", style="bold")
        shown = nonempty_columns([task])
        for spare in (BESIDE_CONTROL, CHANCE_CORRECTED, P_VALUE):  # the page has them
            if sum(widths[i] + _GAP for i in shown) - _GAP > console.width:
                shown = [i for i in shown if COLUMNS[i] != spare]
        cells = [[row[i] for i in shown] for row in (COLUMNS, *task.rows)]
        print_rows(console, cells[0], cells[1:], [widths[i] for i in shown])
    _print_distances(console, build_grid(records))
    perplexity = any(is_perplexity(record.unit) for record in records)
    grids = [
        build_grid([r for r in others if r.model == model])
        for model in dict.fromkeys(record.model for record in others)
    ]
    shared = " Networks of one width share its speeds." if build_grid(records).shares_costs else ""
    key = f"{_KEY}{_PERPLEXITY_KEY if perplexity else ''}.{shared}"
    for sentence in (f"\n{key}", *missing_notes(records), "", *answer(records, grids)):
        print_wrapped(console, sentence)


def _print_distances(console: Console, grid: Grid) -> None:
    """How far networks are from the dense one, task by task, and what that means."""
    from ..report import DISTANCE_KEY, distance_table

    table = distance_table([("", grid)])
    if table is None:
        return
    for task, rows in grouped((row[0], row[1:]) for row in table.rows).items():
        shown = replace(table, header=table.header[1:], rows=tuple(rows)).nonempty()
        print_titled(console, f"\n{task}: distance from dense", shown.header, shown.rows)
    print_wrapped(console, f"\n{DISTANCE_KEY}")


def print_pairs(own: tuple[str, list[Record]], other: tuple[str, list[Record]]) -> None:
    """One model beside another, task by task, and what is missing.

    Args:
        own: Name and records of the model.
        other: Of the model beside it.
    """
    from ..findings import task_pairs
    from ..report import DISTANCE_KEY, missing_notes, network_rows, paired_table

    console = table_console()
    for name, records in (other, own):
        print_titled(console, f"\n{name}", *network_rows(records))
    table = paired_table(task_pairs(own[1], other[1]), (own[0], other[0]))
    print_titled(console, f"\n{table.title}", table.header, table.rows)
    notes = (*missing_notes(other[1]), *missing_notes(own[1]))
    for sentence in ("", *notes, f"{_KEY}.", DISTANCE_KEY):
        print_wrapped(console, sentence)


def print_costs(records: list[Record]) -> None:
    """The costs workload by workload, and why anything is missing."""
    from ..report import cost_key, cost_tables

    console = table_console()
    for table in cost_tables(records):
        shown = table.nonempty()
        print_titled(console, f"\n{table.title}: {table.about}", shown.header, shown.rows)
        for note in table.notes:
            print_wrapped(console, note)
    print_wrapped(console, f"\n{cost_key(records)}")


def table_console() -> Console:
    """Where tables are printed: a file or a pipe has no edge to wrap at."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def print_wrapped(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, markup=False, soft_wrap=not console.is_terminal)


def print_titled(
    console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """A bold line, and the table that it is of."""
    print_wrapped(console, title, style="bold")
    print_rows(console, header, rows)


def print_rows(
    console: Console,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int] = (),
) -> None:
    """A table without rules; columns are at least so wide.

    Where the console is narrower than all columns, they come in parts, each with the first one.
    """
    least = widths or [0] * len(header)
    needed = [max(low, *map(len, cells)) for low, *cells in zip(least, header, *rows, strict=True)]
    for part in _parts(needed, console.width):
        table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="dim", pad_edge=False)
        for i in part:
            table.add_column(escape(header[i]), min_width=least[i], vertical="top")
        for row in rows:
            table.add_row(*(escape(row[i]) for i in part))
        console.print(table)


def _parts(needed: Sequence[int], width: int) -> list[list[int]]:
    """Columns side by side, as many as fit; the first is in every part."""
    parts: list[list[int]] = [[0]]
    for i in range(1, len(needed)):
        taken = sum(needed[k] + _GAP for k in (*parts[-1], i))
        if len(parts[-1]) > 1 and taken - _GAP > width:
            parts.append([0])
        parts[-1].append(i)
    return parts
