"""The page of `widthwise limit converge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import RunError
from ...findings import Table
from ...report import Page
from ...stats import counted, with_ends
from ...theory import MARGIN, NEAR, Convergence, PowerLawFit
from ..run_page import run_sections, setting_rows
from .figure import draw_convergence, draw_movement
from .results import load_convergences

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def converge_page(path: Path) -> Page:
    """What the cases of a file say.

    Raises:
        RunError: It holds none, or what is none.
    """
    kept = load_convergences(path)
    if not kept:
        raise RunError(f"{path} holds no cases: run widthwise limit converge -o again")
    results = [result for result, _ in kept]
    tasks = {
        result.case.name: {
            "learning rate": f"{result.case.task.lr:g}",
            "steps": result.case.task.steps,
        }
        for result in results
    }
    title, answer, figure, caption = _glance(results)
    return Page(
        title=title,
        byline=f"{counted(len(results), 'case')} · {results[0].distance.runs.shape[1]} networks at "
        "each width",
        answer=answer,
        sections=run_sections(
            figure,
            caption,
            (_converge_table(results, "Distance"), _converge_table(results, "Movement")),
            n_open=2,
            method=(
                "Distance: root mean square over steps and tests between what a network and its "
                "limit compute. Movement: how far the features of the last hidden layer go in "
                "training.",
                "Slopes are least squares of logarithms over all runs, with Student's 95 % "
                "interval. A slope agrees with theory's where the interval holds it, is within "
                f"{NEAR} of it and leaves 0 out; with a slope of 0, where the interval is within "
                f"{MARGIN} of it.",
            ),
            unknown=_converge_unknown(results),
            settings=setting_rows(
                [(result.case.name, {**tasks[result.case.name], **s}) for result, s in kept]
            ),
        ),
    )


def _glance(results: Sequence[Convergence]) -> tuple[str, tuple[str, ...], Figure, str]:
    """Title, answer, figure and caption: of distances, or of movements where these are by step."""
    if all(result.limit_movements is not None for result in results):
        title = "How far do features move in training?"
        return title, _moved_answer(results), draw_movement(results), "Dashed: the limit."
    title = "How fast do networks come near their limit?"
    caption = "Dashed: the power that theory gives."
    return title, _converge_answer(results), draw_convergence(results), caption


def _converge_answer(results: Sequence[Convergence]) -> tuple[str, ...]:
    phrases: dict[str | None, str] = {
        "agrees": "The slope of the distance agrees with theory's",
        "disagrees": "The slope of the distance disagrees with theory's",
        "undecided": "Whether the slope of the distance is theory's is undecided",
        None: "Theory's slope is not known",
    }
    sentences = []
    for word, text in phrases.items():
        names = [
            f"{result.case.name} ({_slope(result.distance)})"
            for result in results
            if result.verdict == word
        ]
        if names:
            sentences.append(f"{text}: {'; '.join(names)}.")
    return (" ".join(sentences),)


def _moved_answer(results: Sequence[Convergence]) -> tuple[str, ...]:
    """How far the last features go in each limit, and what networks do."""
    return tuple(
        f"{result.case.name}: the last features move by {result.limit_movement:.3g} in the limit, "
        f"and in networks as the width to the power {_slope(result.movement)}, where theory has "
        f"{result.expected_movement}."
        for result in results
    )


def _converge_table(results: Sequence[Convergence], what: str) -> Table:
    is_distance = what == "Distance"
    rates = [result.distance if is_distance else result.movement for result in results]
    widths = sorted({width for rate in rates for width in rate.widths})
    header = ["case", *(f"n = {width:,}" for width in widths), "slope, 95 % interval", "theory"]
    header += ["verdict", *([] if is_distance else ["limit"])]
    rows = []
    for result, rate in zip(results, rates, strict=True):
        expected = result.expected if is_distance else result.expected_movement
        verdict = result.verdict if is_distance else result.movement_verdict
        sizes = dict(zip(rate.widths, rate.sizes, strict=True))
        row = [result.case.name, *(f"{sizes[w]:.3g}" if w in sizes else "-" for w in widths)]
        row += [_slope(rate), "not known" if expected is None else str(expected), verdict or "-"]
        rows.append((*row, *([] if is_distance else [f"{result.limit_movement:.3g}"])))
    title = "Distance to the limit" if is_distance else "Movement of features"
    about = "Geometric means over the networks of each width."
    return Table(title=title, about=about, header=tuple(header), rows=tuple(rows))


def _converge_unknown(results: Sequence[Convergence]) -> tuple[str, ...]:
    rough = [
        f"{result.case.name}: the limit itself is known to {result.limit_error:.1g} only; "
        "distances near that say nothing."
        for result in results
        if result.limit_error > 0.1 * result.distance.sizes[-1]
    ]
    return (*rough, "The task is a small one, four examples in two dimensions; others were not "
            "tried.")  # fmt: skip


def _slope(rate: PowerLawFit) -> str:
    return with_ends(rate.slope.value, *rate.slope.interval())
