"""`widthwise shrink`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..cut.gguf import FILE_TYPES
from ..prune import in_bytes
from ..stats import counted
from .json_output import json_option, pair_values, print_json, wants_json, without
from .options import (
    MODEL,
    data_option,
    device_option,
    list_option,
    names_models,
    only_given,
    out_option,
    parse_names,
    seed_option,
)
from .plan_options import tell_needs
from .progress_bar import hush_transformers, progress_bar
from .prose import echo
from .tables import print_titled, print_wrapped, table_console

if TYPE_CHECKING:
    from ..shrink import Shrink, ShrinkPlan, ShrinkResult

_TASKS = "embedded:prose,embedded:hellaswag,embedded:piqa,embedded:sciq"


@click.command(
    epilog="Example: widthwise shrink smollm2 --remove 20% --minutes 30 -o small",
)
@click.argument("model", type=MODEL)
@click.option("--remove", metavar="PERCENT", help="Share of neurons to remove: 20%.")
@click.option("--params", metavar="N", help="Most parameters: 1B, or 85% of the dense model's.")
@click.option(
    "--size",
    metavar="BYTES",
    help="Most bytes of the file that is deployed: 0.4GB. It is the .gguf file where --gguf is "
    "given, else the files of weights.",
)
@click.option("--smaller", metavar="PERCENT", help="How much smaller that file is to be: 15%.")
@click.option(
    "--max-loss",
    metavar="PERCENT",
    help="The narrowest width that is shown to lose at most this share of its scores: 2%. Texts of "
    "--task decide, if there are any.",
)
@click.option("--faster", metavar="TIMES", help="The widest that is shown to be as fast: 1.2x.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    help="Time on the clock; healing takes what the other stages leave of it.",
)
@click.option(
    "--text",
    metavar="TEXT",
    help="Text for the refit and for healing: a file or folder, a data set of the hub, or several "
    "by shares of the tokens (my-code/:0.7,embedded:0.3). Default: embedded text.",
)
@list_option(
    "--task",
    "tasks",
    type=parse_names,
    default=_TASKS,
    help="What is asked before and after: suites, tasks of a suite or of lm-eval, or task files; "
    "with commas between them.",
)
@click.option("--limit", type=click.IntRange(2), default=200, help="Most items of each task.")
@click.option("--gguf", type=click.Choice([*FILE_TYPES]), help="Write a .gguf file of this type.")
@click.option(
    "--per-layer",
    is_flag=True,
    help="Give each layer a width of its own, all together with as many parameters. llama.cpp "
    "reads that of Llama and Mistral; the checkpoint needs trust_remote_code=True.",
)
@click.option("--dry-run", is_flag=True, help="Say the plan, and write nothing.")
@seed_option("Seed of samples, and of the order of the text in healing.")
@click.option("--dtype", help="Store as float32, float16 or bfloat16.")
@device_option
@data_option("the tasks' documents")
@out_option("widthwise-shrink", "Folder of everything; an interrupted run continues there.")
@json_option
@names_models
def shrink(model: str, out: Path, dry_run: bool, **options: Any) -> None:
    """Make MODEL fit: cut it to what is asked, heal it, and say what it lost and gained.

    MODEL is {MODEL}. It is asked the same items before and after, and both are timed in turn.
    Writes model/ (the checkpoint), README.md, report.html and, with --gguf, model.gguf.
    """
    from ..shrink import GOALS, Shrink, ShrinkSettings

    only_given(options, GOALS, "Ask for something with")
    settings = ShrinkSettings(model=model, **options)
    command = shlex.join(["widthwise", *sys.argv[1:]])
    planned = Shrink(out, settings)
    _tell_plan(planned, out)
    if dry_run:
        if wants_json():
            print_json(_plan_values(planned.plan, out))
        return
    hush_transformers()
    with progress_bar() as bar:
        work = Shrink(out, settings, command=command, on_told=bar.print, on_progress=bar.tell)
        result = work.run()
    _print_result(result)
    if wants_json():
        print_json(_values(result))


def _tell_plan(work: Shrink, out: Path) -> None:
    """Say what saves without a cut, what will be done, and what it takes."""
    plan = work.plan
    for sentence in (*plan.first_words, f"{plan.words}."):
        echo(sentence, err=True)
    if work.is_done:
        return
    minutes = work.settings.minutes
    one = "one cut" if plan.goal.kind == "max_loss" else "the cut"
    needed = tell_needs(plan.source, plan.estimate(out), out)
    left = "healing has what the others leave"
    if needed >= 60 * minutes:
        left = "there is none left for healing: give more --minutes"
    if plan.goal.kind == "max_loss":
        fitting = min(len(plan.specs), max(1, int(60 * minutes / needed)))
        most = counted(fitting, "cut")
        left = f"the search has all: enough for {most} at most, less what asking takes"
    echo(f"That is {one} alone; of the {minutes:g} minutes for all stages {left}.", err=True)
    if needed < 60 * minutes:
        heals = in_bytes(plan.healing_bytes)
        echo(f"Healing takes about {heals} of memory, and is left out without them.", err=True)


def _print_result(result: ShrinkResult) -> None:
    """The tables, the verdict, and where everything is."""
    console = table_console()
    for table in (result.trial_table, result.table, result.distance_table, result.speed_table):
        if table.rows:
            print_titled(console, f"\n{table.title}: {table.about}", table.header, table.rows)
            for note in table.notes:
                print_wrapped(console, note)
    print_wrapped(console, f"\n{result.verdict}")
    click.echo(f"page: {result.folder / 'report.html'}")
    click.echo(f"in Markdown, with how to load it: {result.folder / 'README.md'}")
    if result.settings.gguf:
        click.echo(f"file for llama.cpp: {result.file}")
    click.echo(f"checkpoint: {result.model}")


def _plan_values(plan: ShrinkPlan, out: Path) -> dict[str, Any]:
    """What `--dry-run --json` prints; of several widths that are tried, the sizes of the widest."""
    return {
        "asked": str(plan.goal),
        "removed": [spec.target.text for spec in plan.specs] if plan.goal.is_tried else [],
        "sizes": without(plan.sizes, "neurons"),
        "planned_bytes": plan.planned_bytes,
        "dense_bytes": plan.dense_bytes,
        "savings": plan.savings,
        "estimate": plan.estimate(out),
    }


def _values(result: ShrinkResult) -> dict[str, Any]:
    """What `--json` prints."""
    trials = result.search.trials if result.search else ()
    return {
        "asked": str(result.plan.goal),
        "reached": result.is_kept,
        "verdict": result.verdict,
        "folder": result.folder,
        "model": result.model,
        "file": result.file,
        "file_bytes": result.file_bytes,
        "dense_bytes": result.plan.dense_bytes,
        "minutes": result.minutes,
        "sizes": without(result.plan.sizes, "neurons"),
        "pairs": pair_values(result.pairs),
        "speeds": result.speeds,
        "trials": [{**without(trial, "spec"), "said": str(trial)} for trial in trials],
    }
