"""What a page says first, and of each of its studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..findings import (
    Grid,
    answer_sentences,
    comparisons,
    measured_sentences,
    other_network_sentences,
)
from ..stats import counted
from ..study import Record
from .model_results import ModelResults
from .study_comparison import ScoreComparison, comparison_sentences

_APART = "No difference between these is shown: nowhere were other networks asked the same items."


def answer_of(one: ModelResults, others: Sequence[ModelResults] = ()) -> list[str]:
    """The answer in a few sentences: what it knows, or else what it costs.

    Args:
        one: The model of a study.
        others: All of the page; the parent of a model that was cut before may be among them.
    """
    texts = []
    if one.grid is not None and one.grid.quality:
        texts = answer_sentences(one.grid, one.judged, one.draws, other_grids(one, others))
    unfinished = [_unfinished(one.pending)] if one.pending else []
    return [*unfinished, *(texts or measured_sentences(one.costs))]


def _unfinished(pending: int) -> str:
    return f"Not finished: {counted(pending, 'cell')} not measured yet. So far:"


def answers_of(
    series: Sequence[ModelResults], found: Sequence[ScoreComparison]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The first sentences of the page, and the answer of each of several studies.

    Differences come first, where there are two studies that could differ.
    """
    answers = [(one.name, answer_of(one, series)) for one in series]
    rated = [one.name for one in series if one.grid is not None and one.grid.quality]
    if not rated and (lead := [s for run in runs_of(series) for s in other_network_sentences(run)]):
        return lead, [answer for answer in answers if answer[1]]
    if len(rated) > 1:
        return _side_by_side(series, found, answers)
    first = next((i for i, one in enumerate(series) if one.name in rated), 0)
    return answers[first][1], [answer for i, answer in enumerate(answers) if i != first]


def _side_by_side(
    series: Sequence[ModelResults],
    found: Sequence[ScoreComparison],
    answers: Sequence[tuple[str, list[str]]],
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The first sentences on several studies, and the remaining ones of each.

    Checkpoints beside what they were cut from come before studies that share networks.
    """
    kin = [
        text
        for one in series
        if one.grid is not None
        for text in comparisons(one.grid, other_grids(one, series))
    ]
    lead = list(dict.fromkeys([*kin, *comparison_sentences(found)]))
    rest = [(name, [text for text in texts if text not in lead]) for name, texts in answers]
    return lead or [_APART], rest


def other_grids(one: ModelResults, series: Sequence[ModelResults]) -> tuple[Grid, ...]:
    """The records of all others; the parent of a model that was cut before may be among them."""
    return tuple(other.grid for other in series if other is not one and other.grid is not None)


def runs_of(series: Sequence[ModelResults]) -> list[list[Record]]:
    """The costs of each run in which several models took turns, in their order."""
    runs: dict[Path, list[ModelResults]] = {}
    for one in series:
        if one.costs and one.source is not None:
            runs.setdefault(one.source, []).append(one)
    return [[r for one in run for r in one.costs] for run in runs.values() if len(run) > 1]
