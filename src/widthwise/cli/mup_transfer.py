"""`widthwise mup transfer`: whether the best learning rate stays when a network gets wider."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import LimitError
from ..runs import RESULTS
from ..stats import estimate_text
from .figure_options import save_figure
from .interrupts import RUNS_KEPT, interruption
from .json_output import json_option, print_json, wants_json, without
from .mup_models import family_options, optimizer_option, parse_depths, take_family
from .options import MODEL, list_option, out_option, parse_ints, parse_names
from .progress_bar import progress_bar
from .save_pages import save_page
from .tables import print_rows, print_wrapped, table_console

if TYPE_CHECKING:
    from ..experiments.lr_transfer import (
        LrCurve,
        OptimumShift,
        TokenRows,
        TrainingRun,
        TrainingSettings,
    )
    from ..mup import NetworkFamily


def _rates(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """`2^-9..2^-4`, all powers of two between, or `2^-6,0.02` as numbers, ascending."""
    rates: set[float] = set()
    for part in parse_names(value):
        ends = [_rate(end, value) for end in part.split("..")]
        powers = [re.fullmatch(r"2\^(-?[0-9]{1,3})", end.strip()) for end in part.split("..")]
        if len(ends) == 1:
            rates.add(ends[0])
        elif len(ends) == 2 and powers[0] and powers[1] and ends[0] < ends[1]:
            rates |= {2.0**k for k in range(int(powers[0][1]), int(powers[1][1]) + 1)}
        else:
            raise click.BadParameter(f"{part!r} must go from one power of 2 up to another")
    return tuple(sorted(rates))


def _rate(text: str, whole: str) -> float:
    power = re.fullmatch(r"2\^(-?[0-9]{1,3})", text.strip())
    try:
        return 2.0 ** int(power[1]) if power else float(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{whole!r} must be numbers or powers 2^-7 with commas between them, or a range such "
            "as 2^-9..2^-4"
        ) from error


@click.command(short_help="See whether the best learning rate stays at all widths, on real text.")
@click.argument("text", type=click.Path(path_type=Path))
@list_option(
    "--widths",
    callback=parse_ints,
    default="32,64,128",
    help="Hidden sizes, multiples of 16; the first one is the base.",
)
@list_option(
    "--learning-rates",
    "rates",
    callback=_rates,
    default="2^-10..2^-4",
    help="Highest learning rates of the schedule, at the base width: 2^-9..2^-4, or "
    "0.001,0.003,0.01.",
)
@click.option(
    "--seeds",
    type=click.IntRange(2, 1000),
    default=4,
    help="Runs of each network.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 10**7),
    default=400,
    help="Steps of training.",
)
@click.option("--rows", type=click.IntRange(1, 10**5), default=4, help="Rows in one step.")
@click.option(
    "--tokens",
    type=click.IntRange(2, 10**5),
    default=64,
    help="Tokens in a row.",
)
@click.option(
    "--tokenizer",
    metavar="MODEL",
    help="Use the tokenizer of this MODEL, such as smollm2. Default: bytes.",
)
@out_option(
    "widthwise-transfer",
    "Folder for results.jsonl, transfer.png and report.html; what is there is not run again.",
)
@list_option(
    "--depths",
    callback=parse_depths,
    help="Numbers of layers, one for each of --widths; the first is the base's. Default: the same "
    "for all.",
)
@click.option(
    "--model",
    type=MODEL,
    metavar="MODEL",
    help="Train small networks of this MODEL's kind, or of a config.json's.",
)
@optimizer_option
@family_options
@json_option
@interruption(RUNS_KEPT)
def transfer(
    text: Path,
    widths: tuple[int, ...],
    rates: tuple[float, ...],
    seeds: int,
    tokenizer: str | None,
    out: Path,
    **settings: Any,
) -> None:
    """Train small networks on TEXT with many learning rates, at several widths.

    They are GLU transformers, or of the kind of --model. TEXT is a file or a folder; what is packed
    (.gz, .bz2, .xz) is unpacked. Each width is trained in the standard parametrization, in that
    with only the embedding's learning rate growing with the width, and in muP; at the first width
    these are the same. All networks of a seed get the same batches. A run that diverges is kept
    with its reason. If it is interrupted, the same command continues it.

    Example: widthwise mup transfer wikipedia.txt.gz --widths 32,64,128 -o my-transfer
    """
    from ..experiments.lr_transfer import (
        FORMAT,
        TrainingSettings,
        check_fits,
        check_grid,
        draw_transfer,
        optimum_shifts,
        read_rows,
        run_transfer,
        transfer_jobs,
    )

    check_grid(widths, rates, seeds)
    family = take_family(settings, widths)
    settings["depths"] = _paired(widths, settings["depths"])
    training = TrainingSettings(**settings, base=widths[0])
    click.get_current_context().with_resource(FORMAT.folder(out).held())
    most = training.steps * training.rows
    read = read_rows(text, tokens=training.tokens, most=most, tokenizer=_tokenizer(tokenizer))
    jobs = transfer_jobs(widths, rates, seeds)
    check_fits(max(widths), read.vocabulary)
    family = family and replace(family, vocabulary=read.vocabulary)
    with progress_bar(RUNS_KEPT) as bar:
        told = bar.results(_describe)
        runs = run_transfer(read, jobs, out, training=training, family=family, **told)
    shifts = optimum_shifts(runs)
    save_figure(draw_transfer(shifts, _about(family, read, training, seeds)), out / "transfer.png")
    _print(shifts, runs)
    save_page(out / RESULTS)
    if wants_json():
        print_json({"folder": out, "report": out / "report.html", **_values(shifts)})


def _paired(widths: tuple[int, ...], depths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Each width with its number of layers; () where none are given."""
    if depths and len(depths) != len(widths):
        raise LimitError(f"there must be a depth for each width; got {len(depths)}")
    return tuple(zip(widths, depths, strict=False))


def _values(shifts: Sequence[OptimumShift]) -> dict[str, Any]:
    """What may be said of each parametrization, with the best learning rate of each width."""
    found = []
    for shift in shifts:
        curves = [
            {**without(curve), "best": curve.best, "reason": curve.reason} for curve in shift.curves
        ]
        found.append({**without(shift, "curves"), "verdict": shift.verdict, "curves": curves})
    return {"parametrizations": found}


def _tokenizer(model: str | None) -> Any:
    """That of a model; None for bytes."""
    from ..cut.checkpoint import resolve_model

    return None if model is None else resolve_model(model).tokenizer


def _describe(run: TrainingRun) -> str:
    if run.loss is None:
        return f"missing: {run.reason}"
    return f"loss {run.loss:.4f}, {run.duration_sec:.0f} s"


def _about(
    family: NetworkFamily | None, text: TokenRows, training: TrainingSettings, seeds: int
) -> str:
    """What was trained, in a line."""
    from ..experiments.lr_transfer import networks, run_settings

    trained = networks(run_settings(text, training, family))
    times = training.steps * training.rows / len(text.train)
    over = f", gone through {times:.1f} times" if times > 1 else ""
    return (
        f"{trained} on {Path(text.source).name}: {training.steps} steps of "
        f"{training.rows} x {training.tokens} tokens{over}; {seeds} seeds, whose single runs are "
        "faint; 95 % intervals over seeds."
    )


def _print(shifts: Sequence[OptimumShift], runs: Sequence[TrainingRun]) -> None:
    """A row a width: its best learning rate, the loss there; then what may be said."""
    from ..experiments.lr_transfer import KIND_NAMES, loss_sentences

    console = table_console()
    header = ["parametrization", "width", "log2 of the best learning rate", "lowest mean loss"]
    rows = [
        [KIND_NAMES[shift.kind], str(curve.width), _best(curve), curve.lowest]
        for shift in shifts
        for curve in shift.curves
    ]
    print_rows(console, header, rows)
    lost = sum(run.loss is None for run in runs)
    if lost:
        print_wrapped(
            console, f"{lost} of {len(runs)} runs diverged; results.jsonl has the reasons."
        )
    for sentence in (*(shift.sentence for shift in shifts), *loss_sentences(shifts)):
        print_wrapped(console, sentence)
    print_wrapped(console, "Brackets are 95 % intervals over seeds.")


def _best(curve: LrCurve) -> str:
    return "not within --learning-rates" if curve.best is None else estimate_text(curve.best)
