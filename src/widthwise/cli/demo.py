"""`widthwise demo`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from .options import dtype_option, model_name, out_option, seed_option


@click.command(epilog="Example: widthwise demo")
@click.argument("model", default="smollm2", type=model_name)
@out_option(
    "widthwise-demo",
    "Folder of records, report and checkpoint; an interrupted demo continues there.",
)
@click.option("--items", type=click.IntRange(2, 1000), default=60, help="Questions for each task.")
@seed_option("Seed of samples, control and order.")
@dtype_option
def demo(model: str, out: Path, **settings: Any) -> None:
    """Show what MODEL knows and costs at seven widths: ppm, activation+refit, and chance.

    MODEL is the embedded SmolLM2-135M-Instruct unless another checkpoint folder, .gguf file or hub
    id is named. Prints a table, writes report.html, and keeps one pruned checkpoint.
    """
    from ..findings import load_warnings
    from ..report import write_page
    from ..study import CRITERIA, Demo, DemoSettings, calibration_notes
    from .tables import print_table, run

    asked = DemoSettings(model=model, **settings)
    study, records = run(partial(Demo, out, asked))
    print_table(records)
    for note in (*load_warnings(records), *calibration_notes(records)):
        click.echo(note, err=True)
    title = f"How wide should {study.parent.checkpoint.name} be?"
    write_page(records, out / "report.html", title=title, settings=asdict(asked))
    folder = study.keep_checkpoint(command=shlex.join(["widthwise", *sys.argv[1:]]))
    click.echo(f"report: {out / 'report.html'}")
    click.echo(f"records: {out / 'records.jsonl'}")
    click.echo(
        f"checkpoint, cut by {CRITERIA[-1]}: {folder}; the README.md in it says how to load it"
    )
