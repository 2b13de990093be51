"""The pages of `widthwise limit converge` and `widthwise mup check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import RunError
from ...findings import Table
from ...report import Page
from ...stats import counted, joined, with_ends
from ..run_page import run_sections, setting_rows
from . import results as runs_of

if TYPE_CHECKING:
    from ...mup import CoordinateCheck
    from ...theory import Convergence, PowerLawFit


def converge_page(path: Path) -> Page:
    """What the cases of a file say.

    Raises:
        RunError: It holds none, or what is none.
    """
    from ...theory import MARGIN, NEAR
    from .figure import draw_convergence

    kept = runs_of.load_convergences(path)
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
    return Page(
        title="How fast do networks come near their limit?",
        byline=f"{counted(len(results), 'case')} · {results[0].distance.runs.shape[1]} networks at "
        "each width",
        answer=_converge_answer(results),
        sections=run_sections(
            draw_convergence(results),
            "Dashed: the power that theory gives.",
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


def check_page(path: Path) -> Page:
    """What the check of a file says; of several the last one.

    Raises:
        RunError: It holds none, or what is none.
    """
    from ..coordinate_check import draw_coordinates

    kept = runs_of.load_coordinates(path)
    if not kept:
        raise RunError(f"{path} holds no check: run widthwise mup check -o again")
    (title, check), settings = kept[-1]
    rates = check.changes
    return Page(
        title="Does every layer move alike at all widths?",
        byline=f"{title} · {counted(len(check.layers), 'layer')} · {rates[0].runs.shape[1]} "
        "networks at each width",
        answer=_check_answer(title, check),
        sections=run_sections(
            draw_coordinates(check, title),
            "Left the slope of every layer, right how far each moved.",
            (_check_table(check),),
            method=(
                f"How far the output of every layer moves in {counted(check.steps, 'step')} of "
                "training, fitted as a power of the width. A layer passes where the interval of "
                f"its slope is within {check.margin:g} of 0, and fails where all of it is beyond.",
                "All intervals together hold with 95 % (Bonferroni).",
            ),
            unknown=(
                "Layers that pass move alike in the first steps; what later ones do was not looked "
                "at.",
            ),
            settings=setting_rows([(title, settings)]),
        ),
    )


def _check_answer(title: str, check: CoordinateCheck) -> tuple[str, ...]:
    places = range(len(check.layers))
    by_word = {
        word: [check.layers[place] for place in places if check.verdict(place) == word]
        for word in ("fail", "undecided")
    }
    if check.overall_verdict == "pass":
        return (
            f"{title}: pass. The slope of every layer is within {check.margin:g} of 0, with its "
            "whole interval.",
        )
    sentences = [f"{title}: {check.overall_verdict}."]
    if by_word["fail"]:
        sentences.append(
            f"Beyond {check.margin:g} with their whole intervals: {_few(by_word['fail'])}."
        )
    if by_word["undecided"]:
        sentences.append(f"Not decided: {_few(by_word['undecided'])}.")
    return tuple(sentences)


def _few(names: Sequence[str]) -> str:
    """The first three by name."""
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return joined([*names[:3], *more])


def _check_table(check: CoordinateCheck) -> Table:
    header = ["layer", *(f"n = {width:,}" for width in check.changes[0].widths)]
    header += ["slope, 95 % interval of all", "verdict"]
    rows = []
    for place, (layer, rate) in enumerate(zip(check.layers, check.changes, strict=True)):
        slope = with_ends(rate.slope.value, *check.interval(place))
        sizes = [f"{size:.3g}" for size in rate.sizes]
        rows.append((layer, *sizes, slope, check.verdict(place)))
    about = "Root mean square change, geometric means."
    return Table(title="Layers", about=about, header=tuple(header), rows=tuple(rows))


def _slope(rate: PowerLawFit) -> str:
    return with_ends(rate.slope.value, *rate.slope.interval())
