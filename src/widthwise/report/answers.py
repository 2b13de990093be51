"""What a page says first, and of each of its studies."""

from __future__ import annotations

from collections.abc import Sequence

from ..findings import (
    Findings,
    Grid,
    answer_sentences,
    comparisons,
    decision_sentences,
    measured_sentences,
    other_network_sentences,
)
from ..stats import counted, grouped
from ..study import Record
from .model_results import ModelResults
from .study_comparison import ScoreComparison, comparison_sentences

_APART = "No difference between these is shown: nowhere were other networks asked the same items."


def answer_of(result: ModelResults, others: Sequence[ModelResults] = ()) -> list[str]:
    """The answer in a few sentences: what it knows, or else what it costs.

    Args:
        result: The model of a study.
        others: All of the page; the parent of a model that was cut before may be among them.
    """
    texts = measured_sentences(result.costs)
    if result.grid.quality:
        texts = answer_sentences(
            result.grid, result.judged, result.draws, other_grids(result, others)
        )
    unfinished = f"Not finished: {counted(result.pending, 'cell')} not measured yet. So far:"
    return [unfinished, *texts] if result.pending else texts


def decision_of(series: Sequence[ModelResults], findings: Sequence[Findings | None]) -> list[str]:
    """How far the one model of a page may be cut, in a line; nothing of several.

    Args:
        series: All of the page.
        findings: Of each of them.
    """
    if len(series) > 1 or findings[0] is None:
        return []
    sentences = decision_sentences(series[0].grid, findings[0].curves)
    return [" ".join(sentences)] if sentences else []


def answers_of(
    series: Sequence[ModelResults], differences: Sequence[ScoreComparison]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The first sentences of the page, and the answer of each of several studies.

    Differences come first, where there are two studies that could differ.
    """
    answers = [(result.name, answer_of(result, series)) for result in series]
    rated = [result.name for result in series if result.grid.quality]
    if not rated and (lead := [s for run in runs_of(series) for s in other_network_sentences(run)]):
        return lead, [answer for answer in answers if answer[1]]
    if len(rated) > 1:
        return _side_by_side(series, differences, answers)
    first = next((i for i, result in enumerate(series) if result.name in rated), 0)
    return answers[first][1], [answer for i, answer in enumerate(answers) if i != first]


def _side_by_side(
    series: Sequence[ModelResults],
    differences: Sequence[ScoreComparison],
    answers: Sequence[tuple[str, list[str]]],
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The first sentences on several studies, and the remaining ones of each.

    Checkpoints beside what they were cut from come before studies that share networks.
    """
    kin = [
        text for result in series for text in comparisons(result.grid, other_grids(result, series))
    ]
    lead = list(dict.fromkeys([*kin, *comparison_sentences(differences)]))
    rest = [(name, [text for text in texts if text not in lead]) for name, texts in answers]
    return lead or [_APART], rest


def other_grids(result: ModelResults, series: Sequence[ModelResults]) -> tuple[Grid, ...]:
    """The records of all others; the parent of a model that was cut before may be among them."""
    return tuple(other.grid for other in series if other is not result)


def runs_of(series: Sequence[ModelResults]) -> list[list[Record]]:
    """The costs of each run in which several models took turns, in their order."""
    runs = grouped((result.source, result) for result in series if result.costs and result.source)
    return [[r for result in run for r in result.costs] for run in runs.values() if len(run) > 1]
