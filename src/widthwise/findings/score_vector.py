"""One task's scores with the errors that they share, being of the same items."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..stats import Share, t_quantile
from ..study import Record
from .comparisons import log_ratio
from .grid import Grid, GridRow, estimate_of


@dataclass(frozen=True, kw_only=True)
class ScoreVector:
    """Scores of some networks on one task, turned so that higher is better.

    Attributes:
        networks: Those with a value.
        values: Shape (networks,); of perplexities, minus their logarithms.
        covariance: Of the errors of the values, shape (networks, networks); None where an error is
            not known. Scores of the same items share their luck, and where one has fewer of them,
            as after an early stop, that much less; those without items share none.
        n: Items behind the score that has fewest.
    """

    networks: tuple[GridRow, ...]
    values: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    n: int

    def quantile(self, tail: float) -> float:
        """Student's quantile that is exceeded with the chance `tail`."""
        return t_quantile(tail, self.n - 1)

    def only(self, networks: Sequence[GridRow]) -> ScoreVector:
        """Some of the networks, in the order asked for; those without a value are left out."""
        kept = tuple(n for n in networks if n in self.networks)
        places = [self.networks.index(n) for n in kept]
        covariance = self.covariance
        return replace(
            self,
            networks=kept,
            values=self.values[places],
            covariance=None if covariance is None else covariance[np.ix_(places, places)],
        )


def tasks_of(grid: Grid) -> tuple[str, ...]:
    """The quantities with a value of which it is known what is better."""
    return tuple(
        quantity
        for quantity in grid.quality
        if (sample := grid.sample(quantity)).value is not None
        and sample.higher_is_better is not None
    )


def score_vector(grid: Grid, quantity: str) -> ScoreVector:
    """All networks that have a value of the quantity."""
    valued = {
        n: log_ratio(record)
        for n in grid.networks
        if (record := grid.cells.get((n, quantity))) and record.value is not None
    }
    records = list(valued.values())
    values = [r.value if r.higher_is_better else -(r.value or 0.0) for r in records]
    return ScoreVector(
        networks=tuple(valued),
        values=np.array(values, dtype=np.float64),
        covariance=_covariance(records),
        n=min((record.n for record in records), default=0),
    )


def _covariance(records: Sequence[Record]) -> NDArray[np.float64] | None:
    """Of the errors of the scores; None where one is not known, or there are no records."""
    errors = [_error(record) for record in records]
    if not records or None in errors:
        return None
    known = np.array(errors, dtype=np.float64)
    n = np.array([record.n for record in records], dtype=np.float64)
    shared = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
    covariance: NDArray[np.float64] = np.outer(known, known) * shared * _correlations(records)
    return covariance


def documents_of(record: Record) -> tuple[bytes, ...]:
    """What tells the document of each item from others; empty where the record does not say."""
    text = record.settings.get("documents")
    if not text:
        return ()
    marks = b64decode(text)
    size = len(marks) // len(record.items) if record.items else 0
    return tuple(marks[i * size : (i + 1) * size] for i in range(len(record.items)))


def shared_covariance(
    grid: Grid, first: str, second: str, networks: Sequence[GridRow]
) -> NDArray[np.float64]:
    """Covariance of the errors of two tasks' scores, by the documents that both ask of.

    Where records do not say which documents they are of, tasks of one family (by the first word of
    their names, as of `truthfulqa_mc1`) with equally many items are taken to have the same ones in
    the same order; if these are others after all, what is added is 0 on average.

    Returns:
        Shape (networks, networks), those of the first task in rows; 0 where nothing is shared.
    """
    rows = [[grid.cells[n, task] for n in networks] for task in (first, second)]
    longest = [max(row, key=lambda record: len(record.items)) for row in rows]
    marks = [documents_of(record) for record in longest]
    if all(marks):
        where = {mark: place for place, mark in enumerate(marks[1])}
        pairs = [(i, where[mark]) for i, mark in enumerate(marks[0]) if mark in where]
    elif _family(first) == _family(second) and len(longest[0].items) == len(longest[1].items):
        pairs = [(i, i) for i in range(len(longest[0].items))]
    else:
        pairs = []
    if not pairs:
        return np.zeros((len(networks), len(networks)))
    places = np.array(pairs).T
    centred = [_centred(row, len(widest.items)) for row, widest in zip(rows, longest, strict=True)]
    counts = [np.array([max(1, len(record.items)) for record in row]) for row in rows]
    product = centred[0][:, places[0]] @ centred[1][:, places[1]].T
    shared: NDArray[np.float64] = product / np.outer(*counts)
    return shared


def _family(task: str) -> str:
    return task.partition("@")[0].partition("_")[0]


def _centred(records: Sequence[Record], longest: int) -> NDArray[np.float64]:
    """Items less their mean, shape (records, longest); 0 for items that were not seen."""
    rows = np.zeros((len(records), longest))
    for row, record in zip(rows, records, strict=True):
        row[: len(record.items)] = np.array(record.items) - np.mean(record.items or [0.0])
    return rows


def _error(record: Record) -> float | None:
    """Standard error; of a share whose items are all the same, the one that its interval has."""
    score = estimate_of(record)
    if not isinstance(score, Share) or score.standard_error != 0:
        return record.standard_error
    low, high = score.interval()
    return (high - low) / 2 / t_quantile(0.025, score.n - 1)


def _correlations(records: Sequence[Record]) -> NDArray[np.float64]:
    """Of the scores over the items that all have seen; the identity where one has no items."""
    seen = min(len(record.items) for record in records)
    if seen < 2 or len(records) < 2:
        return np.eye(len(records))
    items = np.array([record.items[:seen] for record in records], dtype=np.float64)
    items = items - items.mean(axis=1, keepdims=True)
    lengths = np.sqrt((items**2).sum(axis=1))
    lengths[lengths == 0] = 1.0  # a row that does not vary goes with no other
    matrix: NDArray[np.float64] = items @ items.T / np.outer(lengths, lengths)
    np.fill_diagonal(matrix, 1.0)
    return matrix
