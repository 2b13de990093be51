"""`widthwise prune`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import click

from ..cut import Plan, Refit, apply, check_refit_wanted
from ..cut.checkpoint import (
    REFIT_FILE,
    Checkpoint,
    check_compact,
    locate,
    refuse_overlap,
    stored_dtype,
)
from ..errors import RunError
from ..io import check_overwrite
from ..prune import Allocation, allowed_widths, make_plan, per_layer, prune_checkpoint, shard_limit
from ..prune.calibration import load_for_calibration
from ..prune.refitting import refit
from .layer_progress import layer_progress
from .options import build_plan, check_plan_options, has_plan_options, plan_kwargs, plan_options
from .remarks import remark_drafts

if TYPE_CHECKING:
    from rich.console import Console

_WORKLOAD = "512x32"  # as `measure` has it: what --under latency times GLU blocks on
_TIMED_WIDTHS = 5


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
    "--per-layer",
    "layout",
    type=click.Choice(["padded", "compact"]),
    help="Give each layer its own width, by measured losses, all together within the cost of the "
    "width asked for. padded: stored at the widest, with zeros, loads anywhere. compact: stored as "
    "they are, loads with trust_remote_code=True.",
)
@click.option(
    "--under",
    type=click.Choice(["parameters", "latency"]),
    default="parameters",
    show_default=True,
    help=f"The cost that --per-layer keeps within; latency is timed here, on {_WORKLOAD} tokens.",
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
    layout: Literal["padded", "compact"] | None,
    under: str,
    out: Path,
    max_shard_size: str,
    force: bool,
    **options: Any,
) -> None:
    """Cut MODEL to a width and write a plain checkpoint; only calibration text loads the model.

    MODEL is a checkpoint folder, a .gguf file, a hub id, or smollm2 (the embedded model).
    """
    _check_usage(plan_file, refitting, one_pass, layout)
    _check_budget(layout, under, options)
    _check_values(plan_file, refitting, max_shard_size, options)
    check_overwrite(out, force=force)
    refuse_overlap(locate(model)[0], out)
    from rich.console import Console

    from .progress_bar import progress

    console = Console(stderr=True)
    done = _refitted(model, options, one_pass, layout, under, console) if refitting else None
    if done:
        plan = done.plan
    else:
        plan = Plan.load(plan_file) if plan_file else build_plan(model, options, console)
    _tell(model, plan, done, layout)
    if plan_file and refitting is None and (plan_file.parent / REFIT_FILE).exists():
        click.echo("Note: the plan's checkpoint was refitted; this one is only cut.", err=True)
    with progress(console) as bar:
        task = bar.add_task("writing", total=plan.parent_bytes, left="")
        folder = prune_checkpoint(
            model,
            out,
            plan,
            dtype=options["dtype"],
            max_shard_size=max_shard_size,
            layout=layout or "padded",
            force=force,
            command=shlex.join(["widthwise", *sys.argv[1:]]),
            progress=lambda count: bar.advance(task, count),
            refit=done if refitting else refitting,  # False says that none is wanted
        )
    click.echo(folder)


def _tell(model: str, plan: Plan, done: Refit | None, layout: str | None) -> None:
    click.echo(plan, err=True)
    if layout != "compact" and not plan.uniform:
        click.echo(f"Padded: written, and as large and slow, as width {plan.width}.", err=True)
    if done is None and plan.criterion == "ppm":
        click.echo(
            "Note: ppm goes by weights alone; --criterion activation --refit goes by text, and "
            "kept more of SmolLM2 at every width measured (docs/calibrated.md).",
            err=True,
        )
    if done and done.warning:
        click.echo(f"Warning: {done.warning}", err=True)
    remark_drafts(model)


def _refitted(
    model: str,
    options: dict[str, Any],
    one_pass: bool,
    layout: str | None,
    under: str,
    console: Console,
) -> Refit:
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar  # ours is the one to look at
    quiet()
    request, text, widths = plan_kwargs(options), options["calibration"], None
    if layout:
        found = _allocated(model, request, text, layout, under, console)
        click.echo(found, err=True)
        widths = found.widths
    with layer_progress(console, model, "refitting") as tell:
        return refit(
            model, text=text, sequential=not one_pass, widths=widths, progress=tell, **request
        )


def _allocated(
    model: str,
    request: dict[str, Any],
    text: str | None,
    layout: str,
    under: str,
    console: Console,
) -> Allocation:
    """Widths by layers; what a compact checkpoint cannot be made of is refused before."""
    path, name = locate(model)
    with Checkpoint(path, name) as checkpoint:
        if layout == "compact":
            check_compact(checkpoint)
    costs = None
    if under == "latency":
        with console.status("timing GLU blocks"):
            costs = _nanoseconds(path, request)
    with layer_progress(console, model, "measuring layers") as tell:
        return per_layer(model, text=text, costs=costs, progress=tell, **request)


def _nanoseconds(path: Path, request: dict[str, Any]) -> dict[int, int]:
    """Time of one GLU block at a few widths for the prompt and the new tokens of a workload."""
    from ..measure import measure_blocks, workload

    of_plan = ("criterion", "seed", "tokens")
    shape = {name: value for name, value in request.items() if name not in of_plan}
    allowed, work = allowed_widths(path, **shape), workload(_WORKLOAD)
    last = len(allowed) - 1
    some = [allowed[last * i // (_TIMED_WIDTHS - 1)] for i in range(_TIMED_WIDTHS)]
    with load_for_calibration(path) as (dense, _):
        models = {str(width): _at(dense, width) for width in dict.fromkeys(some)}
        measured = measure_blocks(models, work)
    found = {}
    for cost in measured:
        if cost.reason:
            raise RunError(cost.reason)
        seconds = median(cost.prefill_sec) + work.new_tokens * median(cost.decode_sec)
        found[int(cost.model)] = round(1e9 * seconds)
    return found


def _at(dense: Any, width: int) -> Any:
    """A model of this width, whichever its neurons."""
    if width == dense.config.get_text_config().intermediate_size:
        return dense
    return apply(dense, make_plan(dense, width=width, align=1, criterion="random"))


def _check_budget(layout: str | None, under: str, options: dict[str, Any]) -> None:
    """Refuse a budget that widths by layers would break."""
    if layout and under == "latency" and (options["params"] or options["size"]):
        raise click.UsageError(
            "--params and --size are budgets of their own; with --under latency ask for a width by "
            "--to, --remove or --width."
        )
    if layout == "padded" and options["size"]:
        raise click.UsageError(
            "A padded checkpoint is as large as its widest layer makes it, whatever --size says; "
            "pass --per-layer compact."
        )


def _check_values(
    plan_file: Path | None, refitting: bool | None, max_shard_size: str, options: dict[str, Any]
) -> None:
    """Refuse what is out of range for every model, before one is looked for."""
    if plan_file is None:
        check_plan_options(options, refitting=bool(refitting))
        check_refit_wanted(options["criterion"], refitting)
    shard_limit(max_shard_size)
    stored_dtype(options["dtype"])


def _check_usage(
    plan_file: Path | None, refitting: bool | None, one_pass: bool, layout: str | None
) -> None:
    if plan_file is not None and (given := has_plan_options()):
        raise click.UsageError(f"--plan already holds every choice; drop {' and '.join(given)}.")
    if refitting and plan_file is not None:
        raise click.UsageError("--refit chooses neurons as it goes; drop --plan.")
    if one_pass and not refitting:
        raise click.UsageError("--one-pass is a way to refit; pass --refit.")
    if layout and not refitting and plan_file is None:
        raise click.UsageError("--per-layer goes by what refitted layers lose; pass --refit.")
    source = click.get_current_context().get_parameter_source("under")
    if not layout and source == click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--under is a budget for --per-layer; pass --per-layer.")
