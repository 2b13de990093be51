"""Runs as rows: accuracy with its interval, and how it stands beside the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from ...stats import Difference, paired_difference, share_interval
from .training import Word2vecResult


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """A run beside the limit of the same seed.

    Attributes:
        run: The run.
        interval: 95 % interval of its accuracy, `stats.share_interval`; None without a score. It
            takes questions as independent; those of a section share words, so it is too narrow.
        to_limit: Its accuracy less the limit's, question by question; None where one of them has
            no score, of the limit itself, and with a `reason`.
        reason: Why two scores have no difference with an interval; None where there is one, or are
            no two scores.
    """

    run: Word2vecResult
    interval: tuple[float, float] | None
    to_limit: Difference | None = None
    reason: str | None = None


def summary(results: Sequence[Word2vecResult]) -> list[SummaryRow]:
    """A row a run: finite ones by width, then the limit and the kernels."""
    limits = {run.seed: run for run in results if run.network == "limit"}
    ordered = sorted(results, key=attrgetter("place", "seed"))
    return [_row(run, limits.get(run.seed)) for run in ordered]


def _row(run: Word2vecResult, limit: Word2vecResult | None) -> SummaryRow:
    if run.score is None:
        return SummaryRow(run=run, interval=None)
    row = SummaryRow(run=run, interval=share_interval(run.score.accuracy, run.score.asked))
    if limit is None or limit is run or limit.score is None:
        return row
    ours, limits = run.score.bits(), limit.score.bits()
    why = "no interval of its difference from the limit, "
    if not ours.any() and not limits.any():
        return replace(row, reason=why + "as neither answers any question rightly")
    if len(set(ours - limits)) == 1:
        return replace(row, reason=why + "which is the same in every question")
    return replace(row, to_limit=paired_difference(ours.tolist(), limits.tolist()))
