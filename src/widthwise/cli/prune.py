"""`widthwise prune`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console

from ..cut import Plan, Refit, check_refit_wanted
from ..cut.checkpoint import (
    REFIT_FILE,
    ModelSource,
    StoreOptions,
    WriteOptions,
    check_compact,
    refuse_overlap,
    resolve_model,
)
from ..cut.gguf import GgufResult, down_alignment, two_copies
from ..io import check_overwrite
from ..measure import block_nanoseconds, workload
from ..prune import (
    Allocation,
    OpenedModel,
    allowed_widths,
    check_gguf_parent,
    open_model,
    per_layer,
    prune_checkpoint,
    prune_gguf,
)
from ..prune.refitting import refit
from .options import check_writable, is_typed, names_models
from .plan_options import (
    PlanRequest,
    build_plan,
    has_plan_options,
    plan_options,
    print_notes,
    read_request,
    tell_bytes,
    tell_vocabulary,
)
from .progress_bar import hush_transformers, layer_progress, progress

_WORKLOAD = "512x32"  # as `measure` has it: what --under latency times GLU blocks on


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
    help=(
        "Refit down_proj by ridge regression on the calibration text, layer after layer. Without "
        "it, weights are only cut; this is the default, but obs is refused then."
    ),
)
@click.option(
    "--one-pass", is_flag=True, help="Refit on activations of the dense model: faster, but worse."
)
@click.option(
    "--per-layer",
    "layout",
    type=click.Choice(["padded", "compact"]),
    help=(
        "Give each layer a different width, by measured losses; together they cost at most as much "
        "as the width asked for. padded: all layers are filled up with zeros to the widest; it "
        "loads anywhere. compact: each layer has its true size; it loads with "
        "trust_remote_code=True."
    ),
)
@click.option(
    "--under",
    type=click.Choice(["parameters", "latency"]),
    default="parameters",
    help=f"The cost that --per-layer keeps within; latency is timed here, on {_WORKLOAD} tokens.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write; or a .gguf file, where MODEL is one.",
)
@click.option(
    "--tie-embeddings",
    is_flag=True,
    help=(
        "Store a vocabulary once that a .gguf file stores twice, as token_embd and as output: the "
        "finer copy is left, and llama.cpp takes it for both."
    ),
)
@click.option("--max-shard-size", default="5GB", help="Largest size of a weight file.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@names_models
def prune(model: str, plan_file: Path | None, out: Path, force: bool, **options: Any) -> None:
    """Cut MODEL to a width and write a plain checkpoint, or a .gguf file.

    MODEL is {MODEL}. It is loaded only where calibration text is run through it.
    """
    _check_usage(plan_file, out, options)
    request, refitting = None, options["refitting"]
    if plan_file is None:
        request = read_request(options, refitting=bool(refitting))
        check_refit_wanted(request.spec.criterion, refitting)
    how: StoreOptions = {
        "dtype": options["dtype"],
        "max_shard_size": options["max_shard_size"],
        "layout": options["layout"] or "padded",
        "force": force,
        "command": shlex.join(["widthwise", *sys.argv[1:]]),
        "tie_embeddings": options["tie_embeddings"],
    }
    WriteOptions(**how)  # what is out of range for every model is refused before one is found
    if _is_gguf(out):
        check_gguf_parent(model)
        check_writable(out, force)
    else:
        check_overwrite(out, force=force)
    source = resolve_model(model)
    refuse_overlap(source.found, out)
    tell_bytes(source)
    _check_vocabulary(source, tie=options["tie_embeddings"])
    if request and source.gguf and _is_gguf(out):
        request = _aligned_to_blocks(request, source.gguf)
    console = Console(stderr=True)
    result = _refit(source, request, options, console) if request and refitting else None
    if result:
        plan = result.plan
    elif request:
        plan = build_plan(source, request, console)
    else:
        assert plan_file is not None
        plan = Plan.load(plan_file)
    is_padded = not (plan.uniform or options["layout"] == "compact" or _is_gguf(out))
    _print_notes(source, plan, result, is_padded=is_padded)
    if plan_file and refitting is None and (plan_file.parent / REFIT_FILE).exists():
        click.echo("Note: the plan's checkpoint was refitted; this one is only cut.", err=True)
    _write(source, out, plan, result or refitting, how, console)


def _write(
    source: ModelSource,
    out: Path,
    plan: Plan,
    refit: Refit | Literal[False] | None,
    how: StoreOptions,
    console: Console,
) -> None:
    """Write a folder or a GGUF file, and say where it is."""
    result: Path | GgufResult
    with progress(console) as bar:
        task = bar.add_task("writing", total=plan.parent_bytes, left="")
        write = prune_gguf if _is_gguf(out) else prune_checkpoint
        result = write(
            source,
            out,
            plan,
            refit=refit,  # False says that none is wanted
            progress=lambda count: bar.advance(task, count),
            **how,
        )
    if isinstance(result, Path):
        click.echo(result)
    else:
        click.echo(result, err=True)
        click.echo(result.path)


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def _check_vocabulary(source: ModelSource, *, tie: bool) -> None:
    """Refuse to tie what is no vocabulary stored twice; else say what tying would save."""
    if not tie:
        tell_vocabulary(source)
    elif source.gguf is not None:  # of a folder no .gguf file is cut
        two_copies(source.gguf)


def _aligned_to_blocks(request: PlanRequest, parent: Path) -> PlanRequest:
    """The request, rounded to the blocks of the parent's types if no rounding is asked for."""
    spec = request.spec
    if spec.align is not None or spec.paper_widths:
        return request
    return replace(request, spec=replace(spec, align=down_alignment(parent)))


def _print_notes(source: ModelSource, plan: Plan, refit: Refit | None, *, is_padded: bool) -> None:
    click.echo(plan, err=True)
    if is_padded:
        click.echo(f"Padded: written, and as large and slow, as width {plan.width}.", err=True)
    if refit is None and plan.criterion == "ppm":
        click.echo(
            "Note: ppm goes by weights alone; --criterion activation --refit goes by text, and "
            "kept more of SmolLM2 at every width measured (docs/calibrated.md).",
            err=True,
        )
    if refit and refit.warning:
        click.echo(f"Warning: {refit.warning}", err=True)
    print_notes(source.checkpoint.architecture, plan)


def _refit(
    source: ModelSource, request: PlanRequest, options: dict[str, Any], console: Console
) -> Refit:
    """The refit, in widths by layers where those are asked for; the model is loaded once."""
    hush_transformers()
    widths = None
    with open_model(source) as model:
        if options["layout"]:
            if options["layout"] == "compact":
                check_compact(source.checkpoint)
            allocation = _allocation(model, request, options["under"], console)
            click.echo(allocation, err=True)
            widths = allocation.widths
        with layer_progress(console, model.weights.architecture.layers, "refitting") as tell:
            return refit(
                model,
                request.spec,
                sequential=not options["one_pass"],
                widths=widths,
                progress=tell,
                text=request.calibration,
                tokens=request.tokens,
            )


def _allocation(
    model: OpenedModel, request: PlanRequest, under: str, console: Console
) -> Allocation:
    """Widths by layers, within the cost that is asked for."""
    costs = None
    if under == "latency":
        with console.status("timing GLU blocks"):
            widths = allowed_widths(model, request.spec)
            costs = block_nanoseconds(model.module, widths, workload(_WORKLOAD))
    with layer_progress(console, model.weights.architecture.layers, "measuring layers") as tell:
        return per_layer(
            model,
            request.spec,
            costs=costs,
            progress=tell,
            text=request.calibration,
            tokens=request.tokens,
        )


def _check_kind_of_out(out: Path, options: dict[str, Any]) -> None:
    """Refuse what no folder can be, or no .gguf file."""
    if not _is_gguf(out):
        if options["tie_embeddings"]:
            raise click.UsageError(
                f"--tie-embeddings is for a .gguf file, and {out} would be a folder; drop it."
            )
        return
    if options["dtype"] is not None:
        raise click.UsageError("A .gguf file keeps the types of its parent; drop --dtype.")
    if is_typed("max_shard_size"):
        raise click.UsageError("A .gguf file is written as one file; drop --max-shard-size.")
    if options["size"] is not None:
        raise click.UsageError(
            "--size counts the bytes of a checkpoint in bfloat16, and a .gguf file has other "
            "types; ask for a width by --to, --remove, --width or --params."
        )


def _check_usage(plan_file: Path | None, out: Path, options: dict[str, Any]) -> None:
    """Refuse options that contradict one another, or a budget that widths by layers would break."""
    refitting, layout = options["refitting"], options["layout"]
    if plan_file is not None and (given := has_plan_options()):
        raise click.UsageError(f"--plan already holds every choice; drop {' and '.join(given)}.")
    if refitting and plan_file is not None:
        raise click.UsageError("--refit chooses neurons as it goes; drop --plan.")
    _check_kind_of_out(out, options)
    if options["one_pass"] and not refitting:
        raise click.UsageError("--one-pass is a way to refit; pass --refit.")
    if layout and not refitting and plan_file is None:
        raise click.UsageError("--per-layer goes by what refitted layers lose; pass --refit.")
    if not layout and is_typed("under"):
        raise click.UsageError("--under is a budget for --per-layer; pass --per-layer.")
    if layout and options["under"] == "latency" and (options["params"] or options["size"]):
        raise click.UsageError(
            "--params and --size are budgets of their own; with --under latency ask for a width by "
            "--to, --remove or --width."
        )
    if layout == "padded" and options["size"]:
        raise click.UsageError(
            "A padded checkpoint is as large as its widest layer makes it, whatever --size says; "
            "pass --per-layer compact."
        )
