"""Runs of several seeds, put together, and runs that went wrong on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from ...stats import Estimate, mean_with_error
from .train import MamlResult


@dataclass(frozen=True, kw_only=True)
class MamlRow:
    """A network and what its runs gave.

    Attributes:
        label, network, width: As of its runs.
        runs: One a seed, in their order; failed ones too.
        estimate: Mean test accuracy of the runs that have one, with its standard error over
            seeds; None if none has.
    """

    label: str
    network: str
    width: int | None
    runs: tuple[MamlResult, ...]
    estimate: Estimate | None


def collapse(run: MamlResult, ways: int = 5) -> str:
    """A sentence on a run that ended below chance in validation, or `""`."""
    if run.test is None or not run.validation:
        return ""
    steps, last = run.validation[-1]
    if last >= 1 / ways:
        return ""
    return (
        f"{run.title} collapsed: in validation {100 * last:.1f} % after {steps:,} meta-steps, "
        f"where chance is {100 / ways:.3g} %; its score is that of its network after "
        f"{run.best_step:,}."
    )


def summary(results: Sequence[MamlResult]) -> list[MamlRow]:
    """A row a network: finite ones by width, then the limit and the kernels."""
    rows = []
    ordered = sorted(results, key=attrgetter("place", "seed"))
    for _, group in groupby(ordered, key=attrgetter("place")):
        runs = tuple(group)
        scores = [run.test.accuracy for run in runs if run.test is not None]
        rows.append(
            MamlRow(
                label=runs[0].label,
                network=runs[0].network,
                width=runs[0].width,
                runs=runs,
                estimate=mean_with_error(scores) if scores else None,
            )
        )
    return rows
