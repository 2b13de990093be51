"""`widthwise prune`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from ..prune import Plan, check_free, prune_checkpoint, shard_limit, stored_dtype
from .options import plan_options, planned, planning_options_given


@click.command(
    short_help="Write MODEL cut to a width.",
    epilog="Example: widthwise prune smollm2 --to 2.4x -o smollm2-2.4x",
)
@click.argument("model")
@plan_options
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Apply a saved plan.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)
@click.option("--max-shard-size", default="5GB", show_default=True, help="Largest weight file.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def prune(
    model: str,
    plan_file: Path | None,
    out: Path,
    max_shard_size: str,
    force: bool,
    **options: Any,
) -> None:
    """Cut MODEL to a width and write a plain checkpoint, without loading the model.

    MODEL is a checkpoint folder, a .gguf file, a hub id, or smollm2 (the embedded model).
    """
    if plan_file is not None and (given := planning_options_given()):
        raise click.UsageError(f"--plan already holds every choice; drop {' and '.join(given)}.")
    shard_limit(max_shard_size)  # what is cheap to refuse is refused before neurons are chosen
    stored_dtype(options["dtype"])
    check_free(out, force=force)
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with console.status("choosing neurons"):
        plan = Plan.load(plan_file) if plan_file else planned(model, options)
    click.echo(plan, err=True)
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
        )
    click.echo(folder)
