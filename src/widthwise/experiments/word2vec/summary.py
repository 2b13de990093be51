"""Runs, and networks over all their seeds, as rows: accuracy, and how it stands by the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from ...stats import Difference, Estimate, paired_difference, share_interval
from ..limit_differences import mean_share, paired_differences
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


@dataclass(frozen=True, kw_only=True)
class NetworkRow:
    """A network and what its runs gave, over seeds where it has several.

    Attributes:
        label: What the network is called.
        runs: One a seed, in their order; failed ones too.
        accuracy: Mean over the runs that have a score; None if none has.
        interval: 95 % interval of it: of several seeds `mean_share`'s; of one that of its run, over
            the questions. None where it is not known.
        to_limit: Accuracy less the limit's: over the seeds that both have, or of one seed question
            by question; None where there is no interval, and of the limit itself.
        reasons: Why runs have no score, and a single one no difference from the limit.
    """

    label: str
    runs: tuple[Word2vecResult, ...]
    accuracy: float | None
    interval: tuple[float, float] | None
    to_limit: Difference | None
    reasons: tuple[str, ...]


def by_network(results: Sequence[Word2vecResult]) -> list[NetworkRow]:
    """A row a network: finite ones by width, then the limit and the kernels."""
    limit = _by_seed([run for run in results if run.network == "limit"])
    several = len({run.seed for run in results}) > 1
    rows = []
    for _, each in groupby(summary(results), key=lambda row: row.run.place):
        group = list(each)
        rows.append(_over_seeds(group, limit) if several else _of_one(group[0]))
    return rows


def _of_one(row: SummaryRow) -> NetworkRow:
    return NetworkRow(
        label=row.run.label,
        runs=(row.run,),
        accuracy=None if row.run.score is None else row.run.score.accuracy,
        interval=row.interval,
        to_limit=row.to_limit,
        reasons=tuple(filter(None, (row.run.reason, row.reason))),
    )


def _over_seeds(rows: Sequence[SummaryRow], limit: dict[int, Estimate]) -> NetworkRow:
    runs = tuple(row.run for row in rows)
    scores = _by_seed(runs)
    mean = mean_share([score.value for score in scores.values()]) if scores else ()
    is_limit = runs[0].network == "limit"
    return NetworkRow(
        label=runs[0].label,
        runs=runs,
        accuracy=mean[0] if mean else None,
        interval=(mean[1], mean[2]) if len(mean) > 1 else None,
        to_limit=None if is_limit else paired_differences(scores, limit),
        reasons=tuple(f"seed {run.seed}: {run.reason}" for run in runs if run.reason),
    )


def _by_seed(runs: Sequence[Word2vecResult]) -> dict[int, Estimate]:
    """Accuracies; chance over seeds is all that is asked of them."""
    return {
        run.seed: Estimate(value=run.score.accuracy, standard_error=None, n=run.score.asked)
        for run in runs
        if run.score is not None
    }
