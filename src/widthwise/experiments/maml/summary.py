"""Runs of several seeds, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...stats import Estimate, mean_with_error
from .train import MamlResult

_KERNELS = {"linear": "linear kernel", "gp": "ReLU GP", "ntk": "ReLU NTK"}
_ORDER = ("finite", "limit", *_KERNELS)


@dataclass(frozen=True, kw_only=True)
class MamlRow:
    """A network and what its runs gave.

    Attributes:
        network, width: As of a `Result`.
        runs: One a seed, in their order; failed ones too.
        estimate: Mean test accuracy of the runs that have one, with its standard error over
            seeds; None if none has.
    """

    network: str
    width: int | None
    runs: tuple[MamlResult, ...]
    estimate: Estimate | None

    @property
    def label(self) -> str:
        """What the network is called in tables and figures."""
        return label_of(self.network, self.width)


def label_of(network: str, width: int | None) -> str:
    """What a network is called.

    >>> label_of("finite", 32), label_of("limit", None), label_of("gp", None)
    ('width 32', 'limit', 'ReLU GP')
    """
    return f"width {width}" if network == "finite" else _KERNELS.get(network, network)


def summary(results: Sequence[MamlResult]) -> list[MamlRow]:
    """A row a network: finite ones by width, then the limit and the kernels."""
    groups: dict[tuple[int, int, str], list[MamlResult]] = {}
    for result in results:
        key = (_ORDER.index(result.network), result.width or 0, result.network)
        groups.setdefault(key, []).append(result)
    rows = []
    for (_, width, network), runs in sorted(groups.items()):
        scores = [run.test.accuracy for run in runs if run.test is not None]
        rows.append(
            MamlRow(
                network=network,
                width=width or None,
                runs=tuple(sorted(runs, key=lambda run: run.seed)),
                estimate=mean_with_error(scores) if scores else None,
            )
        )
    return rows
