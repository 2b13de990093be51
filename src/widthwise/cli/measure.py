"""`widthwise measure`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..cut.checkpoint import is_gguf
from .json_output import json_option, print_study_json, wants_json
from .options import (
    MODEL,
    data_option,
    device_option,
    dtype_option,
    flag,
    is_typed,
    list_option,
    names_models,
    out_option,
    parse_names,
    seed_option,
    widths_options,
)
from .prose import echo

LLAMA_CPP = "llama.cpp"
_OF_TRANSFORMERS = ("to", "remove", "around", "data", "energy", "country", "dtype", "device")


@click.command(
    epilog="Example: widthwise measure smollm2 --to 2.4x,1.6x --workload 512x32,128x32x8",
)
@click.argument("models", nargs=-1, required=True, type=MODEL)
@widths_options
@click.option(
    "--around",
    type=click.IntRange(1),
    metavar="WIDTH",
    help=(
        "Measure this width and its neighbours, multiples of 4 to 128, and also their GLU blocks "
        "alone: this shows what alignment is worth."
    ),
)
@list_option(
    "--workload",
    "workloads",
    type=parse_names,
    default="512x32",
    help=(
        "PROMPTxNEWxBATCH tokens (512x32x8), grid (27 workloads), paper (its six), or one of these "
        "six (hellaswag-b1); with commas between them."
    ),
)
@click.option(
    "--runtime",
    type=click.Choice(["transformers", LLAMA_CPP]),
    help="What runs the models. llama.cpp times .gguf files as they are, by its own clock: with "
    "llama-bench where it is on PATH, else with the package xllamacpp. Default: llama.cpp where "
    "every MODEL is the path of such a file and nothing is asked that only transformers does.",
)
@click.option("--rounds", type=click.IntRange(5), default=5)
@seed_option("Seed of prompts and of the order of models.")
@data_option("documents for the paper's workloads")
@click.option(
    "--energy/--no-energy",
    default=True,
    help="Measure joules, if there is a meter; each round then takes 6 s.",
)
@click.option(
    "--country",
    metavar="CODE",
    help="Country whose electricity gives the CO2 of joules: FRA. Needs codecarbon.",
)
@click.option(
    "--table/--no-table",
    default=True,
    help="Print a table for each workload, or only each number when it is known.",
)
@dtype_option
@device_option
@out_option("widthwise-measure", "Folder of records; an interrupted run continues there.")
@json_option
@names_models
def measure(
    models: tuple[str, ...],
    out: Path,
    to: tuple[str, ...],
    remove: tuple[str, ...],
    runtime: str | None,
    table: bool,
    **options: Any,
) -> None:
    """Measure what MODELS cost to run: time to the first and the next tokens, memory and energy.

    A MODEL is {MODEL}. All are visited in a new random order in every round; ratios are to the
    first, within a round. How many tokens are written is fixed. Writes records.jsonl.
    """
    from .tables import print_costs, run

    of_files = _is_of_files(runtime, models)
    shown = ("prefill", "decode") if of_files else ("ttft", "tpot")
    options |= {"models": models, "widths": to + remove}
    study, records = run(
        _of_files(out, **options) if of_files else _of_models(out, **options),
        lambda record: not table or record.quantity.endswith(shown),
        with_model=len(models) > 1,
    )
    if table:
        print_costs(records)
    for note in () if of_files else study.notes:
        echo(note)
    click.echo(f"records: {out / 'records.jsonl'}")
    if wants_json():
        print_study_json(out, {out: records})
    if all(record.value is None for record in records if record.quantity.endswith(shown)):
        raise click.ClickException("nothing could be measured; the notes above say why")


def _is_of_files(runtime: str | None, models: Sequence[str]) -> bool:
    """Whether llama.cpp times the files; refuses options that it has nothing for."""
    typed = [flag(name) for name in _OF_TRANSFORMERS if is_typed(name)]
    if runtime == LLAMA_CPP and typed:
        raise click.UsageError(
            f"{', '.join(typed)}: only --runtime transformers can do that; llama.cpp times the "
            "files as they are, on the device that it takes by itself."
        )
    are_files = all(is_gguf(Path(model)) for model in models)
    return runtime == LLAMA_CPP or (runtime is None and are_files and not typed)


def _of_models(out: Path, **options: Any) -> Any:
    from ..study import CostSettings, CostStudy

    return partial(CostStudy, out, CostSettings(**options))


def _of_files(out: Path, **options: Any) -> Any:
    from ..study import FileCostSettings, FileCostStudy

    asked = {name: options[name] for name in ("models", "workloads", "rounds", "seed")}
    return partial(FileCostStudy, out, FileCostSettings(**asked))
