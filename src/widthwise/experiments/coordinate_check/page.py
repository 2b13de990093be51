"""The page of `widthwise mup check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import RunError
from ...findings import Table
from ...mup import CoordinateCheck
from ...report import Page
from ...stats import counted, joined, with_ends
from ...theory import PowerLawFit
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
        title=f"Does every layer move alike at all {check.axis}s?",
        byline=f"{title} · {counted(len(check.layers), 'layer')} · {rates[0].runs.shape[1]} "
        "networks at each width",
        answer=_check_answer(title, check),
        sections=run_sections(
            draw_coordinates(check, title),
            "Left the slope of every layer, right how far each moved.",
            _tables(check),
            method=(
                f"How far the output of every layer moves in {counted(check.steps, 'step')} of "
                f"training, fitted as a power of the {check.axis}. A layer passes where the "
                f"interval of its slope is within {check.margin:g} of 0, and fails where all of it "
                "is beyond.",
                "Sizes before the first step are fitted too, where they are not 0. They pass by "
                "the same margin. Outputs that do not get wider with the network, as those of the "
                "head and the logits of attention, may also shrink.",
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
    if check.overall_verdict == "pass":
        return (
            f"{title}: pass. The slope of every layer is within {check.margin:g} of 0, with its "
            "whole interval.",
        )
    sentences = [f"{title}: {check.overall_verdict}."]
    for verdict, when in ((check.verdict, ""), (check.start_verdict, " at the start")):
        by_word = {
            word: [layer for place, layer in enumerate(check.layers) if verdict(place) == word]
            for word in ("fail", "undecided")
        }
        if by_word["fail"]:
            sentences.append(
                f"Beyond {check.margin:g} with their whole intervals{when}: "
                f"{_few(by_word['fail'])}."
            )
        if by_word["undecided"]:
            sentences.append(f"Not decided{when}: {_few(by_word['undecided'])}.")
    return tuple(sentences)


def _few(names: Sequence[str]) -> str:
    """The first three by name."""
    more = [f"{len(names) - 3} more"] if len(names) > 3 else []
    return joined([*names[:3], *more])


def check_rows(check: CoordinateCheck) -> list[tuple[str, ...]]:
    """Of each layer its name, its changes by width, their slope with the interval, the verdict."""
    return [
        _row(layer, rate, check.interval(place), check.verdict(place))
        for place, (layer, rate) in enumerate(zip(check.layers, check.changes, strict=True))
    ]


def start_rows(check: CoordinateCheck) -> list[tuple[str, ...]]:
    """The same of sizes before the first step, of the layers that do not start at 0."""
    rows = []
    for place, start in enumerate(check.starts):
        interval, verdict = check.start_interval(place), check.start_verdict(place)
        if start is not None and interval is not None and verdict is not None:
            rows.append(_row(check.layers[place], start, interval, verdict))
    return rows


def _row(
    layer: str, rate: PowerLawFit, interval: tuple[float, float], verdict: str
) -> tuple[str, ...]:
    sizes = (f"{size:.3g}" for size in rate.sizes)
    return layer, *sizes, with_ends(rate.slope.value, *interval), verdict


def _tables(check: CoordinateCheck) -> tuple[Table, ...]:
    header = ["layer", *(f"{check.letter} = {width:,}" for width in check.changes[0].widths)]
    header += ["slope, 95 % interval of all", "verdict"]
    about = "Root mean square change, geometric means."
    tables = [
        Table(title="Layers", about=about, header=tuple(header), rows=tuple(check_rows(check)))
    ]
    if rows := start_rows(check):
        about = "Root mean square of the output before the first step, geometric means."
        title = "Sizes at the start"
        tables.append(Table(title=title, about=about, header=tuple(header), rows=tuple(rows)))
    return tuple(tables)
