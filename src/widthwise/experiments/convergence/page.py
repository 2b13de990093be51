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
    found = [one for one, _ in kept]
    tasks = {
        one.case.name: {"learning rate": f"{one.case.task.lr:g}", "steps": one.case.task.steps}
        for one in found
    }
    return Page(
        title="How fast do networks come near their limit?",
        byline=f"{counted(len(found), 'case')} · {found[0].distance.runs.shape[1]} networks at "
        "each width",
        answer=_converge_answer(found),
        sections=run_sections(
            draw_convergence(found),
            "Dashed: the power that theory gives.",
            (_converge_table(found, "Distance"), _converge_table(found, "Movement")),
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
            unknown=_converge_unknown(found),
            settings=setting_rows(
                [(one.case.name, {**tasks[one.case.name], **s}) for one, s in kept]
            ),
        ),
    )


def _converge_answer(found: Sequence[Convergence]) -> tuple[str, ...]:
    told: dict[str | None, str] = {
        "agrees": "The slope of the distance agrees with theory's",
        "disagrees": "The slope of the distance disagrees with theory's",
        "undecided": "Whether the slope of the distance is theory's is undecided",
        None: "Theory's slope is not known",
    }
    said = []
    for word, text in told.items():
        names = [
            f"{one.case.name} ({_slope(one.distance)})" for one in found if one.verdict == word
        ]
        if names:
            said.append(f"{text}: {'; '.join(names)}.")
    return (" ".join(said),)


def _converge_table(found: Sequence[Convergence], what: str) -> Table:
    is_distance = what == "Distance"
    rates = [one.distance if is_distance else one.movement for one in found]
    widths = sorted({width for rate in rates for width in rate.widths})
    header = ["case", *(f"n = {width:,}" for width in widths), "slope, 95 % interval", "theory"]
    header += ["verdict", *([] if is_distance else ["limit"])]
    rows = []
    for one, rate in zip(found, rates, strict=True):
        expected = one.expected if is_distance else one.expected_movement
        verdict = one.verdict if is_distance else one.movement_verdict
        sizes = dict(zip(rate.widths, rate.sizes, strict=True))
        row = [one.case.name, *(f"{sizes[w]:.3g}" if w in sizes else "-" for w in widths)]
        row += [_slope(rate), "not known" if expected is None else str(expected), verdict or "-"]
        rows.append((*row, *([] if is_distance else [f"{one.limit_movement:.3g}"])))
    title = "Distance to the limit" if is_distance else "Movement of features"
    about = "Geometric means over the networks of each width."
    return Table(title=title, about=about, header=tuple(header), rows=tuple(rows))


def _converge_unknown(found: Sequence[Convergence]) -> tuple[str, ...]:
    rough = [
        f"{one.case.name}: the limit itself is known to {one.limit_error:.1g} only; distances near "
        "that say nothing."
        for one in found
        if one.limit_error > 0.1 * one.distance.sizes[-1]
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
    (title, found), settings = kept[-1]
    rates = found.changes
    return Page(
        title="Does every layer move alike at all widths?",
        byline=f"{title} · {counted(len(found.layers), 'layer')} · {rates[0].runs.shape[1]} "
        "networks at each width",
        answer=_check_answer(title, found),
        sections=run_sections(
            draw_coordinates(found, title),
            "Left the slope of every layer, right how far each moved.",
            (_check_table(found),),
            method=(
                f"How far the output of every layer moves in {counted(found.steps, 'step')} of "
                "training, fitted as a power of the width. A layer passes where the interval of "
                f"its slope is within {found.margin:g} of 0, and fails where all of it is beyond.",
                "All intervals together hold with 95 % (Bonferroni).",
            ),
            unknown=(
                "Layers that pass move alike in the first steps; what later ones do was not looked "
                "at.",
            ),
            settings=setting_rows([(title, settings)]),
        ),
    )


def _check_answer(title: str, found: CoordinateCheck) -> tuple[str, ...]:
    places = range(len(found.layers))
    by_word = {
        word: [found.layers[place] for place in places if found.verdict(place) == word]
        for word in ("fail", "undecided")
    }
    if found.overall_verdict == "pass":
        return (
            f"{title}: pass. The slope of every layer is within {found.margin:g} of 0, with its "
            "whole interval.",
        )
    said = [f"{title}: {found.overall_verdict}."]
    if by_word["fail"]:
        said.append(f"Beyond {found.margin:g} with their whole intervals: {_few(by_word['fail'])}.")
    if by_word["undecided"]:
        said.append(f"Not decided: {_few(by_word['undecided'])}.")
    return tuple(said)


def _few(names: Sequence[str]) -> str:
    """The first three by name."""
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return joined([*names[:3], *more])


def _check_table(found: CoordinateCheck) -> Table:
    header = ["layer", *(f"n = {width:,}" for width in found.changes[0].widths)]
    header += ["slope, 95 % interval of all", "verdict"]
    rows = []
    for place, (layer, rate) in enumerate(zip(found.layers, found.changes, strict=True)):
        slope = with_ends(rate.slope.value, *found.interval(place))
        sizes = [f"{size:.3g}" for size in rate.sizes]
        rows.append((layer, *sizes, slope, found.verdict(place)))
    about = "Root mean square change, geometric means."
    return Table(title="Layers", about=about, header=tuple(header), rows=tuple(rows))


def _slope(rate: PowerLawFit) -> str:
    return with_ends(rate.slope.value, *rate.slope.interval())
