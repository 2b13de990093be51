"""`widthwise demo`."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..study import Demo, Record

WIDE = 200  # columns of a terminal on which the whole table fits; a narrower one gets it in two
COSTS = ("parameters", "bytes", "prefill", "decode")


@click.command(short_help="Measure MODEL at seven widths.", epilog="Example: widthwise demo")
@click.argument("model", default="smollm2")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("widthwise-demo"),
    show_default=True,
    help="Folder of records, report and checkpoint; an interrupted demo goes on there.",
)
@click.option(
    "--items", type=click.IntRange(2, 1000), default=80, show_default=True, help="Questions a task."
)
@click.option(
    "--passages", type=click.IntRange(2), default=60, show_default=True, help="Prose passages."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Of samples, control and order.",
)
@click.option("--dtype", type=click.Choice(["bfloat16", "float32"]), help="Default: the faster.")
def demo(model: str, out: Path, **settings: Any) -> None:
    """Show what MODEL knows and costs at seven widths, by criterion ppm and by chance.

    MODEL is the embedded SmolLM2-135M-Instruct unless another checkpoint folder, .gguf file or hub
    id is named. Prints a table, writes report.html, and keeps one pruned checkpoint.
    """
    from transformers.utils import logging

    from ..report import write_page
    from ..study import DemoSettings

    quiet: Any = logging.disable_progress_bar  # ours is the one to look at
    quiet()
    study, records = _run(out, DemoSettings(model=model, **settings))
    _print_table(records)
    title = f"How wide should {study.checkpoint.name} be?"
    write_page(records, out / "report.html", title=title, settings=asdict(study.settings))
    folder = study.keep_checkpoint(command=shlex.join(["widthwise", *sys.argv[1:]]))
    click.echo(f"report: {out / 'report.html'}")
    click.echo(f"records: {out / 'records.jsonl'}")
    click.echo(
        f"load the {folder.name} checkpoint: "
        f'transformers.AutoModelForCausalLM.from_pretrained("{folder}")'
    )


def _run(out: Path, settings: Any) -> tuple[Demo, list[Record]]:
    """Run the study under a progress bar with the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    from ..study import Demo

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

        study = Demo(
            out,
            settings,
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


def _print_table(records: list[Record]) -> None:
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
