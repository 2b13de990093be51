"""`widthwise mup`: what of a network's settings changes with its width."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..cut.checkpoint import resolve_model
from ..mup import (
    AskedRole,
    CoordinateCheck,
    Parametrization,
    TrainingSetup,
    config_at,
    coordinate_check,
    different_settings,
    glu_family,
    head_notes,
    hidden_size_of,
    parametrize,
    small_start,
    trained_table,
    weights_table,
)
from ..prune.healing import width_change
from .figure_options import drawing_options
from .interrupts import NOTHING_KEPT, interruption
from .json_output import json_option, print_json, wants_json
from .mup_models import (
    family_options,
    model_config,
    optimizer_option,
    parse_depths,
    parse_sizes,
    role_option,
    take_family,
)
from .mup_transfer import transfer
from .options import MODEL, dense_option, list_option, names_models, parse_ints, seed_option
from .progress_bar import hush_transformers, progress_bar
from .save_pages import check_beside, save_with_page
from .tables import print_rows, print_titled, print_wrapped, table_console


@click.group()
def mup() -> None:
    """Carry learning rates and initial scales over to another width: muP.

    Example: widthwise mup check -o check.png
    """


mup.add_command(transfer)


@mup.command(short_help="Print how each parameter changes with the width of a model.")
@click.argument("model", type=MODEL)
@click.option(
    "--base",
    required=True,
    callback=parse_sizes,
    metavar="hidden_size=N,...",
    help="Sizes of the model that settings are known for; those not stated are in proportion.",
)
@role_option
@json_option
@names_models
def show(model: str, base: dict[str, int], roles: dict[str, AskedRole]) -> None:
    """Print role, initial deviation, learning rate, epsilon and decay of each parameter of MODEL.

    Beside those of the same model at a base width, by shapes alone: nothing is loaded. MODEL is
    {MODEL}, or a config.json.

    Example: widthwise mup show smollm2 --base hidden_size=192
    """
    config = model_config(model)
    narrow = config_at(config, base.get("hidden_size", hidden_size_of(config)), base)
    if not different_settings(narrow, config):
        raise click.UsageError("--base must state another size than the model has.")
    result = parametrize(config, narrow, roles=roles)
    if wants_json():
        values = {**json.loads(result.to_json()), "patterns": result.patterns()}
        values["notes"] = [*result.notes, *head_notes(narrow, config)]
        print_json({"base": different_settings(narrow, config), **values})
        return
    sizes = ", ".join(
        f"{name} {there:,} of {here:,}"
        for name, (there, here) in different_settings(narrow, config).items()
    )
    console = table_console()
    print_titled(console, f"Base: {sizes}", *weights_table(result.weights))
    _print_notes(result)
    for note in head_notes(narrow, config):
        print_wrapped(console, note)
    print_wrapped(
        console,
        "x: times what it is at the base. Muon's rates are those of muon_groups (docs/mup.md).",
    )


@mup.command(short_help="See whether every layer of a network moves alike at all widths.")
@click.argument("model", type=MODEL, required=False)
@click.option(
    "--parametrization",
    "kind",
    type=click.Choice(["mup", "sp"]),
    default="mup",
    help="muP or the standard parametrization.",
)
@list_option(
    "--widths",
    callback=parse_ints,
    default="64,128,256,512",
    help="Widths in ascending order, multiples of 16, at least two.",
)
@list_option(
    "--depths",
    callback=parse_depths,
    help="Numbers of layers to compare instead of widths, all at the first of --widths; the first "
    "is the base.",
)
@click.option("--tied", is_flag=True, help="Let embedding and head share a weight, without MODEL.")
@family_options
@click.option("--lr", default=0.01, help="Learning rate at the base width, 32.")
@optimizer_option
@click.option("--steps", type=click.IntRange(1, 1000), default=3, help="Steps of training.")
@click.option(
    "--seeds",
    type=click.IntRange(2, 1000),
    default=4,
    help="Number of networks at each width.",
)
@seed_option("The first seed.")
@json_option
@drawing_options(
    "Draw every layer's slope, and every run; records and page are written next to it."
)
@interruption(NOTHING_KEPT)
@names_models
def check(
    widths: tuple[int, ...],
    steps: int,
    seeds: int,
    seed: int,
    *,
    out: Path | None,
    force: bool,
    **network: Any,
) -> None:
    """Train small networks of MODEL's kind a few steps at several widths: the coordinate check.

    MODEL is {MODEL}, or a config.json; only its config is read, and its networks are made small.
    Without one, they are GLU transformers of two layers.

    Fits how far the output of every layer moves as a power of the width, and how large it is
    before; the logits of attention too. A layer passes where the interval of its slope is within
    0.15 of 0, fails where all of it is beyond, and is undecided otherwise: more --seeds or --widths
    make intervals narrower. Before training, logits may also shrink.

    Example: widthwise mup check --parametrization sp -o standard.png
    """
    check_beside(out, force, command="mup check")
    hush_transformers()
    tied, model = network.pop("tied"), network["model"]
    family = take_family(network, widths) or glu_family(tied=tied)
    depths = network.pop("depths")
    family = replace(family, layers=depths[0]) if depths else family

    def start(size: int, seed: int) -> TrainingSetup:
        deep, width = (family.deep(size), widths[0]) if depths else (family, size)
        return small_start(deep, width, seed, **network)

    with progress_bar(NOTHING_KEPT) as bar:
        result = coordinate_check(
            start,
            widths=depths or widths,
            seeds=seeds,
            steps=steps,
            seed=seed,
            axis="depth" if depths else "width",
            progress=lambda share: bar.update(share, "training networks"),
        )
    if out is not None:
        what = "GLU transformer" if model is None else f"small {family.config.model_type}"
        what += ", tied" * tied + ", Muon" * (network["optimizer"] == "muon")
        _save(result, what, out, {"first_seed": seed, **network})
    if wants_json():
        asked = {"model": model, "parametrization": network.pop("kind"), "tied": tied, **network}
        print_json({**asked, **_coordinates_as_json(result)})
    else:
        _print_coordinates(result)


def _save(result: CoordinateCheck, what: str, out: Path, asked: dict[str, Any]) -> None:
    """The figure, and the record and the page next to it."""
    from ..experiments.coordinate_check import coordinates_line, draw_coordinates

    title = f"{'muP' if asked['kind'] == 'mup' else 'Standard'}, {what}"
    line = coordinates_line(result, title, lr=asked["lr"], seed=asked["first_seed"])
    save_with_page(draw_coordinates(result, title), out, [line])


def _coordinates_as_json(result: CoordinateCheck) -> dict[str, Any]:
    return {
        "verdict": result.overall_verdict,
        "steps": result.steps,
        "axis": result.axis,
        "widths": list(result.changes[0].widths),
        "margin": result.margin,
        "confidence": result.confidence,
        "layers": [
            {
                "layer": layer,
                "verdict": result.verdict(place),
                "slope": rate.slope.value,
                "slope_interval": list(result.interval(place)),
                "runs": rate.runs.tolist(),
                "start_verdict": result.start_verdict(place),
                "start_slope_interval": result.start_interval(place),
            }
            for place, (layer, rate) in enumerate(zip(result.layers, result.changes, strict=True))
        ],
    }


def _print_coordinates(result: CoordinateCheck) -> None:
    from ..experiments.coordinate_check import check_rows, start_rows

    console = table_console()
    sizes = (f"{result.letter}={size}" for size in result.changes[0].widths)
    header = ["layer", *sizes, "slope", "verdict"]
    title = f"How far outputs of layers moved in {result.steps} steps"
    print_titled(console, title, header, check_rows(result))
    print_titled(console, "\nHow large they were before", header, start_rows(result))
    hint = "; more --seeds or --widths make intervals narrower"
    undecided = hint if result.overall_verdict == "undecided" else ""
    print_wrapped(
        console, f"{result.overall_verdict}{undecided}; all intervals together hold with 95 %"
    )


@mup.command("after-prune", short_help="Say the learning rates for healing a pruned model.")
@click.argument("child", type=MODEL)
@dense_option
@json_option
def after_prune(child: str, dense: str) -> None:
    """Say what to multiply the learning rate of MODEL by, for each parameter of the pruned CHILD.

    A pruned model is the same network at another width. Shapes alone are read. Neurons of a layer
    that are padding do not count. The theory is of networks trained from initial weights: take
    the factors as a beginning.

    Example: widthwise mup after-prune smollm2-2.4x --dense smollm2
    """
    sources = resolve_model(child), resolve_model(dense)
    with sources[0].checkpoint as pruned, sources[1].checkpoint as parent:
        result = width_change(pruned, parent)
    if wants_json():
        print_json(json.loads(result.to_json()))
    else:
        _print_factors(result)


def _print_notes(result: Parametrization) -> None:
    console = table_console()
    for line in result.notes:
        print_wrapped(console, line)


def _print_factors(result: Parametrization) -> None:
    console = table_console()
    print_rows(console, *trained_table(result.weights))
    _print_notes(result)
    adam, sgd = (
        sum(factor != 1 for factor in factors)
        for factors in zip(*((weight.adam, weight.sgd) for weight in result.weights), strict=True)
    )
    print_wrapped(
        console,
        f"Of {len(result.weights)} parameters, {adam} have another learning rate than the dense "
        f"model's with Adam, and {sgd} with SGD; weight decay is divided by the same.",
    )
