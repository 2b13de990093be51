"""One task's scores with the errors that they share, being of the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ..study.records import Record
from .grid import Grid, Network
from .judge import in_logarithms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Column:
    """Scores of some networks on one task, turned so that higher is better.

    Attributes:
        networks: Those with a value.
        values: Shape (networks,); of perplexities, minus their logarithms.
        covariance: Of the errors of the values, shape (networks, networks); None where an error is
            not known. Scores of the same items share their luck, and where one has fewer of them,
            as after an early stop, that much less; those without items share none.
        n: Items behind the score that has fewest.
    """

    networks: tuple[Network, ...]
    values: NDArray[np.float64]
    covariance: NDArray[np.float64] | None
    n: int

    def quantile(self, tail: float) -> float:
        """Student's quantile that is exceeded with the chance `tail`."""
        return student(tail, self.n)

    def only(self, networks: Sequence[Network]) -> Column:
        """Some of the networks, in the order asked for; those without a value are left out."""
        import numpy as np

        kept = [n for n in networks if n in self.networks]
        places = [self.networks.index(n) for n in kept]
        covariance = self.covariance
        return Column(
            networks=tuple(kept),
            values=self.values[places],
            covariance=None if covariance is None else covariance[np.ix_(places, places)],
            n=self.n,
        )


@cache
def student(tail: float, n: int) -> float:
    """What the mean of n values, in its errors, exceeds with the chance `tail`."""
    from scipy.stats import t

    return float(t.isf(tail, n - 1)) if n > 1 else float("inf")


def tasks_of(grid: Grid) -> tuple[str, ...]:
    """The quantities with a value of which it is known what is better."""
    samples = {quantity: grid.sample(quantity) for quantity in grid.quality}
    return tuple(
        quantity
        for quantity, sample in samples.items()
        if sample.value is not None and sample.higher_is_better is not None
    )


def column_of(grid: Grid, quantity: str) -> Column:
    """All networks that have a value of the quantity."""
    import numpy as np

    found = {n: grid.cells[n, quantity] for n in grid.networks if (n, quantity) in grid.cells}
    valued = {n: in_logarithms(r) for n, r in found.items() if r.value is not None}
    errors = [record.standard_error for record in valued.values()]
    covariance = None
    if valued and None not in errors:
        known = np.array(errors, dtype=np.float64)
        n = np.array([record.n for record in valued.values()], dtype=np.float64)
        shared = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))
        covariance = np.outer(known, known) * shared * _correlations(list(valued.values()))
    return Column(
        networks=tuple(valued),
        values=np.array(
            [r.value if r.higher_is_better else -(r.value or 0.0) for r in valued.values()],
            dtype=np.float64,
        ),
        covariance=covariance,
        n=min((record.n for record in valued.values()), default=0),
    )


def _correlations(records: Sequence[Record]) -> NDArray[np.float64]:
    """Of the scores over the items that all have seen; the identity where one has no items."""
    import numpy as np

    seen = min(len(record.items) for record in records)
    if seen < 2 or len(records) < 2:
        return np.eye(len(records))
    items = np.array([record.items[:seen] for record in records], dtype=np.float64)
    items = items - items.mean(axis=1, keepdims=True)
    lengths = np.sqrt((items**2).sum(axis=1))
    lengths[lengths == 0] = 1.0  # a row that does not vary goes with no other
    found: NDArray[np.float64] = items @ items.T / np.outer(lengths, lengths)
    np.fill_diagonal(found, 1.0)
    return found
