"""`widthwise prune`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from ..prune import Plan, Refit, check_free, prune_checkpoint, refit, shard_limit, stored_dtype
from .options import plan_options, plan_request, planned, planning_options_given


@click.command(
    short_help="Write MODEL cut to a width.",
    epilog="Example: widthwise prune smollm2 --to 2.4x -o smollm2-2.4x",
)
@click.argument("model")
@plan_options
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Apply a saved plan.")
@click.option(
    "--refit/--no-refit",
    "refitting",
    default=None,
    help="Refit down_proj by ridge regression on the calibration text, layer after layer; "
    "without, weights are only cut (the default, but obs is then refused).",
)
@click.option(
    "--one-pass", is_flag=True, help="Refit on activations of the dense model: quicker, worse."
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)
@click.option("--max-shard-size", default="5GB", show_default=True, help="Largest weight file.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def prune(
    model: str,
    plan_file: Path | None,
    refitting: bool | None,
    one_pass: bool,
    out: Path,
    max_shard_size: str,
    force: bool,
    **options: Any,
) -> None:
    """Cut MODEL to a width and write a plain checkpoint; only calibration text loads the model.

    MODEL is a checkpoint folder, a .gguf file, a hub id, or smollm2 (the embedded model).
    """
    _check_usage(plan_file, refitting, one_pass)
    shard_limit(max_shard_size)  # what is cheap to refuse is refused before neurons are chosen
    stored_dtype(options["dtype"])
    check_free(out, force=force)
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    done = None
    with console.status("calibrating" if refitting else "choosing neurons"):
        if refitting:
            done = _refitted(model, options, one_pass)
            plan = done.plan
        else:
            plan = Plan.load(plan_file) if plan_file else planned(model, options)
    click.echo(plan, err=True)
    if done and done.warning:
        click.echo(f"Warning: {done.warning}", err=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("writing", total=plan.parent_bytes)
        folder = prune_checkpoint(
            model,
            out,
            plan,
            dtype=options["dtype"],
            max_shard_size=max_shard_size,
            force=force,
            command=shlex.join(["widthwise", *sys.argv[1:]]),
            progress=lambda count: bar.advance(task, count),
            refit=done if refitting else refitting,  # False says that none is wanted
        )
    click.echo(folder)


def _refitted(model: str, options: dict[str, Any], one_pass: bool) -> Refit:
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar  # ours is the one to look at
    quiet()
    request = plan_request(options)
    return refit(model, text=options["calibration"], sequential=not one_pass, **request)


def _check_usage(plan_file: Path | None, refitting: bool | None, one_pass: bool) -> None:
    if plan_file is not None and (given := planning_options_given()):
        raise click.UsageError(f"--plan already holds every choice; drop {' and '.join(given)}.")
    if refitting and plan_file is not None:
        raise click.UsageError("--refit chooses neurons as it goes; drop --plan.")
    if one_pass and not refitting:
        raise click.UsageError("--one-pass is a way to refit; pass --refit.")
