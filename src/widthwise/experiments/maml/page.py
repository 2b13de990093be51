"""The page of `widthwise maml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...findings import Table
from ...report import Page
from ...stats import Difference, Estimate, counted, with_ends
from ..limit_differences import (
    difference_sentence,
    format_shares,
    joined_networks,
    mean_share,
    outermost,
    paired_differences,
    points,
    verdicts,
)
from ..run_page import (
    NO_LIMIT,
    NO_SCORE,
    ONE_SEED,
    comparable_runs,
    run_sections,
    seed_row,
    setting_rows,
)
from .figure import draw_runs
from .results import FORMAT
from .summary import MamlRow, collapse, summary
from .train import MamlResult


def maml_page(path: Path) -> Page:
    """What the runs of a file say.

    Raises:
        RunError: It holds none, or what is no run.
    """
    kept, excluded = comparable_runs(path, FORMAT, _shared, command="maml")
    runs = [run for run, _ in kept]
    rows = summary(runs)
    besides = _besides(rows)
    seeds = {run.seed for run in runs}
    scored = any(row.estimate is not None for row in rows)
    single = len(seeds) == 1
    task = {name: kept[-1][1][name] for name in ("ways", "shots")}
    return Page(
        title="How wide should a network be to learn new characters?",
        byline=f"MAML on Omniglot · {counted(len(runs), 'run')} of {counted(len(rows), 'network')}",
        answer=_answer(rows, besides, single),
        warnings=excluded,
        sections=run_sections(
            draw_runs(runs, **task) if scored else None,
            "Left in validation, by one step within a task; right in the test, by 20.",
            (_networks(rows, besides, single), *_beside_kernels(rows), _runs(kept)),
            failed=[(run.title, run.reason) for run in runs if run.reason],
            method=_method(single, **task),
            unknown=_unknown(rows, single, task["ways"]),
            settings=(
                seed_row(seeds),
                *setting_rows([(run.label, each) for run, each in kept], skip=("recipe",)),
            ),
        ),
    )


def _shared(run: MamlResult, settings: dict[str, Any]) -> dict[str, Any]:
    """What must be the same of runs that are compared."""
    skip = {"recipe", "widthwise", *(("steps",) if run.network in MamlResult.slow_kernels else ())}
    return {name: value for name, value in settings.items() if name not in skip}


def _scores(row: MamlRow) -> dict[int, Estimate]:
    """Accuracy by seed, with its error over tasks."""
    return {
        run.seed: Estimate(
            value=run.test.accuracy, standard_error=run.test.standard_error, n=run.test.tasks
        )
        for run in row.runs
        if run.test is not None
    }


def _accuracy(row: MamlRow) -> tuple[float, ...]:
    """A value and the ends of its interval: over seeds, of a single one over its tasks."""
    scores = list(_scores(row).values())
    if len(scores) > 1:
        return mean_share([score.value for score in scores])
    return tuple(
        end
        for score in scores
        for end in (score.value, *(score.interval() if score.standard_error is not None else ()))
    )


def _besides(rows: Sequence[MamlRow]) -> dict[str, Difference | None]:
    """Every network less the limit; nothing where the limit was not run."""
    limit = next((row for row in rows if row.network == "limit"), None)
    if limit is None:
        return {}
    return {
        row.label: paired_differences(_scores(row), _scores(limit))
        for row in rows
        if row is not limit
    }


def _answer(
    rows: Sequence[MamlRow], besides: dict[str, Difference | None], single: bool
) -> tuple[str, ...]:
    known = {row.label: accuracy for row in rows if (accuracy := _accuracy(row))}
    if not known:
        return (NO_SCORE,)
    sentence = f"New characters are known again: {format_shares(outermost(known))}."
    chance = "With one seed, intervals hold chance of the test tasks and not of the start."
    beside = difference_sentence(verdicts(besides))
    return tuple(filter(None, (sentence, " ".join(filter(None, (beside, chance * single))))))


def _networks(
    rows: Sequence[MamlRow], besides: dict[str, Difference | None], single: bool
) -> Table:
    words = verdicts(besides)
    header = ("network", "width", "accuracy [%], 95 % interval", "less the limit [points]")
    lines = []
    for row in rows:
        whole = _accuracy(row)
        n = len(_scores(row))
        lines.append(
            (
                *row.runs[0].cells,
                with_ends(*whole, scale=100) if whole else "missing",
                points(besides.get(row.label)),
                words.get(row.label, "-"),
                str(n),
                str(len(row.runs) - n),
            )
        )
    over = "tasks of the one seed" if single else "seeds"
    about = (
        f"Means with 95 % intervals over {over}. What is said beside the limit is adjusted by "
        "Holm's method over all networks."
    )
    return Table(
        title="Networks",
        about=about,
        header=(*header, "beside the limit", "seeds", "failed"),
        rows=tuple(lines),
    )


def _beside_kernels(rows: Sequence[MamlRow]) -> tuple[Table, ...]:
    """Every ReLU network less the kernels of ReLU networks; nothing where one is missing."""
    kernels = [row for row in rows if row.network in MamlResult.slow_kernels]
    pairs = [
        (row.label, kernel.label, paired_differences(_scores(row), _scores(kernel)))
        for row in rows
        if row.network == "relu"
        for kernel in kernels
    ]
    if not pairs:
        return ()
    words = verdicts({f"{label} {kernel}": each for label, kernel, each in pairs})
    lines = tuple(
        (label, kernel, points(each), words.get(f"{label} {kernel}", "-"))
        for label, kernel, each in pairs
    )
    return (
        Table(
            title="ReLU networks beside their kernels",
            about="What training the features adds: a ReLU network in muP less a kernel whose "
            "features stay as they start, seed by seed; adjusted by Holm's method over these rows.",
            header=("network", "kernel", "less the kernel [points]", "beside the kernel"),
            rows=lines,
        ),
    )


def _runs(kept: Sequence[tuple[MamlResult, dict[str, Any]]]) -> Table:
    header = ("network", "width", "seed", "accuracy [%]", "std. error", "tasks", "best step")
    lines = []
    for run, settings in kept:
        test, recipe = run.test, settings.get("recipe")
        error = None if test is None else test.standard_error
        lines.append(
            (
                *run.cells,
                str(run.seed),
                "missing" if test is None else f"{100 * test.accuracy:.2f}",
                "-" if error is None else f"{100 * error:.2f}",
                "-" if test is None else f"{test.tasks:,}",
                "-" if run.best_step is None else f"{run.best_step:,}",
                str(settings.get("steps", "-")),
                f"{recipe['lr']:g}" if isinstance(recipe, dict) and "lr" in recipe else "-",
                "-" if run.steps_per_sec is None else f"{run.steps_per_sec:,.1f}",
                f"{run.duration_sec:,.0f}",
            )
        )
    return Table(
        title="Runs",
        about="Each run; its error is over the tasks of its test.",
        header=(*header, "steps", "learning rate", "steps/s", "seconds"),
        rows=tuple(lines),
    )


def _method(single: bool, ways: int, shots: int) -> tuple[str, ...]:
    """What accuracies and intervals are of."""
    chance = (
        "With one seed an interval is over the test tasks, and a difference adds the errors of "
        "both networks, as if they had met other tasks: it is a little wide."
        if single
        else "Intervals are Student's over seeds; differences are formed seed by seed, as all "
        "networks of a seed meet the same tasks."
    )
    return (
        f"{ways}-way {shots}-shot: of {ways} characters never trained on, with "
        f"{counted(shots, 'image')} each, which is the other image? Chance is {100 / ways:.3g} %. "
        "The checkpoint that is best in validation is tested, on classes that neither training nor "
        "validation had.",
        chance,
    )


def _unfinished(rows: Sequence[MamlRow]) -> list[str]:
    """Networks that were best in validation at their last step, in a sentence."""
    names = [
        row.label
        for row in rows
        if any(
            len(run.validation) > 1 and run.best_step == run.validation[-1][0] for run in row.runs
        )
    ]
    if not names:
        return []
    best = "Best in validation at the last step, so that more steps may help"
    return [f"{best}: {joined_networks(names)}."]


def _unknown(rows: Sequence[MamlRow], single: bool, ways: int) -> tuple[str, ...]:
    sentences = [ONE_SEED] if single else []
    sentences += filter(None, (collapse(run, ways) for row in rows for run in row.runs))
    sentences += _unfinished(rows)
    uneven = {len(_scores(row)) for row in rows}
    if len(uneven) > 1:
        sentences.append("Not all networks have as many seeds; the table says how many each has.")
    if not any(row.network == "limit" for row in rows):
        sentences.append(NO_LIMIT)
    if any(row.network in MamlResult.slow_kernels for row in rows):
        sentences.append(
            "The scales of the published kernels are not known; those of these runs were chosen."
        )
    return tuple(sentences)
