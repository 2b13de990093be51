"""`widthwise prune`."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console

from ..arch import draft_note, left_alone_note
from ..cut import Plan, Refit
from ..cut.checkpoint import (
    REFIT_FILE,
    ModelSource,
    StoreOptions,
    WriteOptions,
    check_compact,
    is_gguf,
    refuse_overlap,
    resolve_model,
)
from ..cut.gguf import GgufResult, two_copies
from ..measure import block_nanoseconds, workload
from ..prune import (
    Allocation,
    OpenedModel,
    aligned_to_blocks,
    allowed_widths,
    check_out,
    draft_criterion,
    estimate_cut,
    is_refitted,
    kept_layers,
    open_model,
    per_layer,
    prune_checkpoint,
    prune_gguf,
    tokens_of,
    weights_advised,
)
from ..prune.refitting import refit
from .engine_options import engine_options, read_engine
from .interrupts import interruption
from .json_output import json_option, print_json, wants_json, without
from .options import MODEL, flag, is_typed, names_models
from .plan_options import (
    PlanRequest,
    build_plan,
    has_plan_options,
    plan_options,
    print_notes,
    read_request,
    tell_bytes,
    tell_method,
    tell_needs,
    tell_vocabulary,
    with_preset,
)
from .progress_bar import hush_transformers, layer_progress, progress
from .prose import echo

_LAYERS_KEPT = "interrupted; the same command goes on with the layers that are done"
_ENGINE = ("engine", "address", "workers")
_WITHOUT_TEXT = "--criterion ppm --no-refit"
_WORKLOAD = "512x32"  # as `measure` has it: what --under latency times GLU blocks on


@click.command(
    epilog="Example: widthwise prune smollm2 --to 2.4x -o smollm2-2.4x",
)
@click.argument("model", type=MODEL)
@plan_options
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Apply a saved plan.")
@click.option(
    "--refit/--no-refit",
    "refitting",
    default=None,
    help=(
        "Whether down_proj is refitted by ridge regression on the calibration text, layer after "
        "layer. Default: it is with activation and obs; with other criteria, weights are only cut."
    ),
)
@click.option(
    "--one-pass", is_flag=True, help="Refit on activations of the dense model: faster, but worse."
)
@click.option(
    "--scales/--no-scales",
    default=True,
    help=(
        "Whether rows of matrices and norms are scaled after a refit, so that the answers come "
        "nearer to those of the dense model. Default: they are; it takes about as long as the "
        "refit."
    ),
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
@engine_options(
    "Processes among which calibration text is divided for a refit. Default: one for each GPU, "
    "where there are several."
)
@json_option
@names_models
def prune(model: str, plan_file: Path | None, out: Path, force: bool, **options: Any) -> None:
    """Cut MODEL to a width and write a plain checkpoint, or a .gguf file.

    By default, neurons are chosen, down_proj is refitted and rows of the weights are scaled by text
    that is run through the model, layer by layer, which takes minutes; by --criterion ppm, weights
    alone are read. MODEL is {MODEL}.
    """
    options, refitting = with_preset(options), options["refitting"]
    if plan_file is None:
        refitting = is_refitted(options["criterion"], refitting)
    _check_usage(plan_file, out, {**options, "refitting": refitting})
    request = read_request(options, refitting=refitting) if plan_file is None else None
    engine = read_engine(options)
    how: StoreOptions = {
        "dtype": options["dtype"],
        "max_shard_size": options["max_shard_size"],
        "layout": options["layout"] or "padded",
        "force": force,
        "command": shlex.join(["widthwise", *sys.argv[1:]]),
        "tie_embeddings": options["tie_embeddings"],
    }
    WriteOptions(**how)  # what is out of range for every model is refused before one is found
    check_out(model, out, force=force)
    source = resolve_model(model)
    refuse_overlap(source.found, out)
    if request and is_gguf(out):
        request = replace(request, spec=aligned_to_blocks(request.spec, source))
    if request:
        request.spec.refuse_early(source)
    tell_bytes(source)
    _check_vocabulary(source, tie=options["tie_embeddings"])
    console = Console(stderr=True)
    if request and refitting:
        asked = {**options, "engine": engine}
        return _refit_and_write(source, out, request, asked, how, console)
    if request:
        plan = build_plan(source, request, console)
    else:
        assert plan_file is not None
        plan = Plan.load(plan_file)
        if refitting is None:
            _tell_only_cut(plan_file, plan)
    _write(source, out, plan, options["refitting"], how, console)


def _refit_and_write(
    source: ModelSource,
    out: Path,
    request: PlanRequest,
    options: dict[str, Any],
    how: StoreOptions,
    console: Console,
) -> None:
    """Say what it takes, refit, and write; refitted layers lie beside the result until it is."""
    tokens = tokens_of(source.checkpoint.architecture, request.tokens)
    request, sequential = replace(request, tokens=tokens), not options["one_pass"]
    estimate = estimate_cut(
        source,
        request.spec,
        tokens,
        out=out,
        sequential=sequential,
        by_layers=options["layout"] is not None,
        scales=options["scales"],
    )
    with interruption(_LAYERS_KEPT), kept_layers(out, estimate) as work:
        order = "layer after layer" if sequential else "in one pass"
        tell_method(source, request, order, scales=options["scales"])
        with weights_advised(_WITHOUT_TEXT):
            tell_needs(source, estimate, out, is_divided=options["engine"] is not None)
        result = _refit(source, request, options, work, console)
        _write(source, out, result.plan, result, how, console)


def _write(
    source: ModelSource,
    out: Path,
    plan: Plan,
    refit: Refit | Literal[False] | None,
    how: StoreOptions,
    console: Console,
) -> None:
    """Say what the result is, write a folder or a GGUF file, and say where it is."""
    is_padded = not (plan.uniform or how["layout"] == "compact" or is_gguf(out))
    _print_notes(source, plan, refit or None, is_padded=is_padded)
    result: Path | GgufResult
    with progress(console) as bar:
        task = bar.add_task("writing", total=plan.parent_bytes, left="")
        write = prune_gguf if is_gguf(out) else prune_checkpoint
        result = write(
            source,
            out,
            plan,
            refit=refit,  # False says that none is wanted
            progress=lambda count: bar.advance(task, count),
            **how,
        )
    if not isinstance(result, Path):
        echo(result, err=True)
    path = result if isinstance(result, Path) else result.path
    click.echo(path)
    if wants_json():
        print_json({"path": path, **_values(plan, refit or None, result)})


def _values(plan: Plan, refit: Refit | None, result: Path | GgufResult) -> dict[str, Any]:
    """What was written, but for the neurons, which its files hold."""
    chosen = {name: getattr(plan, name) for name in ("criterion", "seed", "fingerprint", "digest")}
    fit = None
    if refit is not None:
        layers = [without(layer, "curve") for layer in refit.layers]
        fit = {**without(refit, "plan", "down", "rows"), "layers": layers, "warning": refit.warning}
    return {
        "plan": {**json.loads(plan.sizes.to_json()), "widths": plan.widths, **chosen},
        "refit": fit,
        "gguf": None if isinstance(result, Path) else result,
    }


def _tell_only_cut(plan_file: Path, plan: Plan) -> None:
    """Say where a refit is left out: a plan holds neurons and no weights."""
    if (plan_file.parent / REFIT_FILE).exists():
        echo("Note: the plan's checkpoint was refitted; this one is only cut.", err=True)
    elif is_refitted(plan.criterion, None):
        echo(
            "Note: a plan holds no refit, so down_proj is only cut; without --plan it is refitted.",
            err=True,
        )


def _check_vocabulary(source: ModelSource, *, tie: bool) -> None:
    """Refuse to tie what is no vocabulary stored twice; else say what tying would save."""
    if not tie:
        tell_vocabulary(source)
    elif source.gguf is not None:  # of a folder no .gguf file is cut
        two_copies(source.gguf)


def _print_notes(source: ModelSource, plan: Plan, refit: Refit | None, *, is_padded: bool) -> None:
    echo(plan, err=True)
    if is_padded:
        echo(f"Padded: written, and as large and slow, as width {plan.width}.", err=True)
    if refit and refit.scales:
        echo(f"Scaled: {refit.scales}.", err=True)
    for loss in refit.losses if refit else ():
        echo(f"Lost: {loss}.", err=True)
    if refit and refit.warning:
        echo(f"Warning: {refit.warning}", err=True)
    architecture = source.checkpoint.architecture
    drafts = draft_note(architecture, draft_criterion(plan.criterion))
    print_notes(drafts, left_alone_note(architecture), plan.sizes.suitability)


def _refit(
    source: ModelSource,
    request: PlanRequest,
    options: dict[str, Any],
    work: Path,
    console: Console,
) -> Refit:
    """The refit, in widths by layers where those are asked for; the model is opened once."""
    hush_transformers()
    widths = None
    with open_model(source) as model, weights_advised(_WITHOUT_TEXT):
        if options["layout"]:
            if options["layout"] == "compact":
                check_compact(source.checkpoint)
            allocation = _allocation(model, request, options["under"], console)
            echo(allocation, err=True)
            widths = allocation.widths
        with layer_progress(console, model.weights.architecture.layers, "refitting") as tell:
            return refit(
                model,
                request.spec,
                sequential=not options["one_pass"],
                widths=widths,
                scales=options["scales"],
                work=work,
                engine=options["engine"],
                progress=tell,
                text=request.calibration,
                tokens=request.most_tokens,
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
            tokens=request.most_tokens,
        )


def _check_kind_of_out(out: Path, options: dict[str, Any]) -> None:
    """Refuse what no folder can be, or no .gguf file."""
    if not is_gguf(out):
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
        raise click.UsageError("--one-pass is a way to refit, and nothing is; pass --refit.")
    if is_typed("scales") and not refitting:
        raise click.UsageError("--scales is for what is refitted, and nothing is; pass --refit.")
    if not refitting and (given := [flag(name) for name in _ENGINE if is_typed(name)]):
        raise click.UsageError(f"{given[0]} is for a refit, and nothing is refitted; drop it.")
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
