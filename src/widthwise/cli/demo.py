"""`widthwise demo`."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .json_output import json_option, print_study_json, wants_json
from .options import dtype_option, model_name, out_option, seed_option
from .prose import echo

if TYPE_CHECKING:
    from ..study import Demo, DemoSettings

_STALE_SEC = 30  # after its time that a page in a browser goes on to look for a newer one


@click.command(epilog="Example: widthwise demo")
@click.argument("model", default="smollm2", type=model_name)
@out_option(
    "widthwise-demo",
    "Folder of records, report and checkpoint; a demo that ended or was interrupted goes on there.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=3.0,
    help="How long to ask; a first pass over everything is always made.",
)
@seed_option("Seed of samples, control and order.")
@dtype_option
@json_option
def demo(model: str, out: Path, minutes: float, **settings: Any) -> None:
    """Show what MODEL knows and costs at five widths.

    It is cut by a text that is run through it (activation+refit), by its weights alone (ppm), and
    by chance. MODEL is the embedded SmolLM2-135M-Instruct unless another checkpoint folder, .gguf
    file or hub id is named. A first pass asks a few items of everything, and writes report.html.
    Further ones ask more until the time is up: intervals get narrower, and the page is drawn anew.
    One pruned checkpoint is kept.
    """
    deadline = time.monotonic() + 60 * minutes
    from ..study import CRITERIA, DemoSettings
    from .demo_result import print_demo

    asked = DemoSettings(model=model, **settings)
    study = _run(out, asked, deadline)
    _write_page(study, asked)
    print_demo(study)
    click.echo(f"report: {out / 'report.html'}")
    click.echo(f"records: {out / 'records.jsonl'}")
    kept = _kept(study)
    echo(f"checkpoint, cut by {CRITERIA[-1]}: {kept}; the README.md in it says how to load it")
    if wants_json():
        counts = {"counts": study.counts, "more": study.more, "more_seconds": study.more_seconds}
        print_study_json(out, {out: study.records}, checkpoint=kept, **counts)
    echo("next, your own model: widthwise shrink MODEL --remove 20% -o smaller")


def _run(out: Path, asked: DemoSettings, deadline: float) -> Demo:
    """Run it under a bar of its time, and draw the page after each pass."""
    from ..study import Demo
    from .progress_bar import hush_transformers, progress_bar

    start = time.monotonic()
    with progress_bar() as bar:

        def on_progress(share: float, label: str) -> None:
            hush_transformers()
            bar.tell(share, label)

        def on_pass(number: int) -> None:
            _write_page(study, asked, deadline)
            _kept(study)
            counts = ", ".join(f"{name} {count} items" for name, count in study.counts.items())
            seconds = time.monotonic() - start
            bar.print(f"after {seconds:.0f} s, pass {number}: {counts}: {out / 'report.html'}")

        study = Demo(out, asked, deadline=deadline, on_progress=on_progress, on_pass=on_pass)
        study.run()
    return study


def _kept(study: Demo) -> Path:
    return study.keep_checkpoint(command=shlex.join(["widthwise", *sys.argv[1:]]))


def _write_page(study: Demo, asked: DemoSettings, deadline: float | None = None) -> None:
    """Draw the page; before the deadline as one that is not finished."""
    from ..report import write_page

    until = None if deadline is None else time.time() + deadline - time.monotonic() + _STALE_SEC
    write_page(
        study.records,
        study.store.folder.path / "report.html",
        title=f"How wide should {study.parent.checkpoint.name} be?",
        settings=asdict(asked),
        renewed_until=until,
        texts=study.texts,
    )
