"""The page of `widthwise mup check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import RunError
from ...findings import Table
from ...mup import CoordinateCheck
from ...report import Page
from ...stats import counted, joined, with_ends
from ..run_page import run_sections, setting_rows
from .figure import draw_coordinates
from .results import load_coordinates


def check_page(path: Path) -> Page:
    """What the check of a file says; of several the last one.

    Raises:
        RunError: It holds none, or what is none.
    """
    kept = load_coordinates(path)
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


def check_rows(check: CoordinateCheck) -> list[tuple[str, ...]]:
    """Of each layer its name, its sizes by width, its slope with the interval, and its verdict."""
    return [
        (
            layer,
            *(f"{size:.3g}" for size in rate.sizes),
            with_ends(rate.slope.value, *check.interval(place)),
            check.verdict(place),
        )
        for place, (layer, rate) in enumerate(zip(check.layers, check.changes, strict=True))
    ]


def _check_table(check: CoordinateCheck) -> Table:
    header = ["layer", *(f"n = {width:,}" for width in check.changes[0].widths)]
    header += ["slope, 95 % interval of all", "verdict"]
    about = "Root mean square change, geometric means."
    return Table(title="Layers", about=about, header=tuple(header), rows=tuple(check_rows(check)))
