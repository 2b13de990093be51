"""The page of `widthwise mup transfer`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

from ...errors import LimitError
from ...findings import Table
from ...report import Page
from ...stats import counted, estimate_text, grouped, mean_with_error
from ..run_page import comparable_runs, run_sections, seed_row, setting_rows
from .figure import draw_transfer
from .optimum import MARGIN, OptimumShift, loss_sentences, optimum_shifts
from .results import FORMAT
from .run import networks
from .train import KIND_NAMES, TrainingRun

_FEW = 4  # seeds below which Student's quantile is more of an interval than the seeds


def transfer_page(path: Path) -> Page:
    """What the runs of a file say.

    Raises:
        RunError: It holds none, or what is no run.
    """
    kept, excluded = comparable_runs(path, FORMAT, _shared, command="mup transfer")
    runs = [run for run, _ in kept]
    whole, unfinished = _whole(runs)
    shifts, reason = _shifts(whole)
    sentences = [*(shift.sentence for shift in shifts), *loss_sentences(shifts)]
    widths = sorted({run.width for run in runs})
    seeds = counted(len({run.seed for run in whole}), "seed")
    note = f"Faint: single runs of {seeds}. Intervals are 95 %, over seeds."
    return Page(
        title=f"Does the best learning rate stay from width {widths[0]:,} to {widths[-1]:,}?",
        byline=f"{networks(kept[0][1])} · {counted(len(runs), 'run')}",
        answer=tuple(map(_begun, sentences)) or (f"Not known yet: {reason}.",),
        warnings=(*excluded, *unfinished),
        sections=run_sections(
            draw_transfer(shifts, note) if shifts else None,
            "A diamond with its interval is the best learning rate of a width, where known.",
            (*([_best(shifts)] if shifts else []), _losses(runs)),
            failed=[(f"{_named(run)}, seed {run.seed}", run.reason) for run in runs if run.reason],
            method=_method(runs, kept[0][1]),
            unknown=_unknown(whole, shifts),
            settings=(
                seed_row(run.seed for run in runs),
                *setting_rows([(KIND_NAMES[run.kind], settings) for run, settings in kept]),
            ),
        ),
    )


def _begun(sentence: str) -> str:
    """As a sentence begins, but for the name muP."""
    return sentence if sentence.startswith("muP") else f"{sentence[0].upper()}{sentence[1:]}"


def _shared(_: TrainingRun, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same of runs that are compared."""
    return {name: value for name, value in settings.items() if name != "widthwise"}


def _whole(runs: Sequence[TrainingRun]) -> tuple[list[TrainingRun], tuple[str, ...]]:
    """The runs of the seeds that have all of them, and what is to be said of the others."""
    grid = len({run.kind for run in runs}) * len({run.width for run in runs})
    grid *= len({run.lr for run in runs})
    by_seed = Counter(run.seed for run in runs)
    short = {seed: count for seed, count in by_seed.items() if count < grid}
    kept = [run for run in runs if run.seed not in short]
    if not short:
        return kept, ()
    counts = ", ".join(f"seed {seed} has {count} of {grid} runs" for seed, count in short.items())
    return kept, (f"Not finished: {counts}; the figure and what is said of it leave that out.",)


def _shifts(runs: Sequence[TrainingRun]) -> tuple[tuple[OptimumShift, ...], str]:
    """What the runs say, or why they say nothing."""
    if not runs:
        return (), "no seed has been trained with every width and learning rate"
    try:
        return optimum_shifts(runs), ""
    except LimitError as error:
        return (), str(error)


def _named(run: TrainingRun) -> str:
    return f"{KIND_NAMES[run.kind]}, width {run.width:,}, learning rate {run.lr:.4g}"


def _best(shifts: Sequence[OptimumShift]) -> Table:
    header = ("parametrization", "width", "log2 of the best learning rate, 95 % interval")
    lines = [
        (
            KIND_NAMES[shift.kind],
            f"{curve.width:,}",
            "not known" if curve.best is None else estimate_text(curve.best),
            curve.lowest,
            str(len(curve.losses)),
        )
        for shift in shifts
        for curve in shift.curves
    ]
    about = (
        "By each seed the lowest point of the parabola through the lowest loss and those beside "
        "it; the mean over seeds, with Student's interval."
    )
    notes = [curve.reason for shift in shifts for curve in shift.curves if curve.reason]
    return Table(
        title="Best learning rates",
        about=about,
        header=(*header, "lowest mean loss [nats]", "seeds"),
        rows=tuple(lines),
        notes=tuple(dict.fromkeys(notes)),
    )


def _losses(runs: Sequence[TrainingRun]) -> Table:
    """A row a network and learning rate."""
    groups = grouped(((run.kind, run.width, run.lr), run) for run in runs)
    header = ("parametrization", "width", "learning rate", "log2", "mean loss [nats]")
    lines = []
    for (kind, width, lr), group in sorted(groups.items()):
        losses = [run.loss for run in group if run.loss is not None]
        mean = mean_with_error(losses) if losses else None
        error = None if mean is None else mean.standard_error
        lines.append(
            (
                KIND_NAMES[kind],
                f"{width:,}",
                f"{lr:.4g}",
                f"{log2(lr):.2f}",
                "missing" if mean is None else f"{mean.value:.4f}",
                "-" if error is None else f"{error:.4f}",
                str(len(losses)),
                str(len(group) - len(losses)),
                f"{sum(run.duration_sec for run in group):,.0f}",
            )
        )
    about = "Loss on text held out after the last step, mean over the seeds that did not diverge."
    return Table(
        title="Losses",
        about=about,
        header=(*header, "std. error", "seeds", "failed", "seconds"),
        rows=tuple(lines),
    )


def _method(runs: Sequence[TrainingRun], settings: Mapping[str, Any]) -> tuple[str, ...]:
    by = "Muon and AdamW" if settings.get("optimizer") == "muon" else "Adam"
    third = ""
    if any(run.kind == "sp-embedding" for run in runs):
        third = ", in that with the embedding's rate alone times the growth of the width,"
    return (
        f"Every width is trained by {by} with every learning rate, in the standard parametrization"
        f"{third} and in muP; at the base width these are the same. All networks of a seed meet "
        "the same batches.",
        "The slope of the best learning rate over the width is fitted seed by seed. It stays where "
        f"the 95 % interval of the mean slope over seeds is within {MARGIN:g} octaves a doubling "
        "of 0, and shifts where that interval leaves 0 out.",
    )


def _unknown(whole: Sequence[TrainingRun], shifts: Sequence[OptimumShift]) -> tuple[str, ...]:
    sentences = ["Other depths, other data and longer training were not tried."]
    seeds = len({run.seed for run in whole})
    if 0 < seeds < _FEW:
        sentences.insert(0, f"There are {counted(seeds, 'seed')}: intervals over so few are wide.")
    sentences += [
        f"{KIND_NAMES[shift.kind]}: whether it stays is not decided by these seeds."
        for shift in shifts
        if shift.verdict in (None, "undecided")
    ]
    return tuple(sentences)
