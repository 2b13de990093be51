"""At how many widths a criterion is shown to be better or worse than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..stats import grouped
from ..study import CONTROL
from .comparisons import (
    beats_its_floor,
    by_width,
    compare_to_control,
    is_above_floor,
    is_worse,
    paired_or_independent,
)
from .grid import Grid


@dataclass(frozen=True, kw_only=True)
class WinCounts:
    """Widths at which both were measured on a task.

    Attributes:
        better: Where the criterion is above its floor and better than the control.
        worse: Where the control is above its floor and better than the criterion.
        higher: Where there is a single draw of the control, whose luck is not known, and the
            criterion is above its floor and shown to score better than this draw.
        lower: Where there is a single draw, above its floor, and the criterion is shown to score
            worse than this draw.
        of: All of them.
    """

    better: int
    worse: int
    higher: int
    lower: int
    of: int

    @property
    def any(self) -> bool:
        """Whether anything is shown at any width."""
        return bool(self.better or self.worse or self.higher or self.lower)


def wins_over_control(grid: Grid, criterion: str) -> Mapping[str, WinCounts]:
    """By task, in the order of the grid, beside the mean of all draws of the control."""
    judged = compare_to_control(grid, criterion, CONTROL, paired_or_independent)
    by_task = grouped((q, (n, j)) for (n, q), j in judged.items() if j.difference)
    wins = {}
    for quantity, pairs in by_task.items():
        control = by_width(grid, CONTROL, quantity)
        up = bool(grid.sample(quantity).higher_is_better)
        worse = [
            j.one_draw for n, j in pairs if is_worse(j, up) and beats_its_floor(control[n.width][1])
        ]
        higher = [j for _, j in pairs if j.one_draw and is_worse(j, not up) and is_above_floor(j)]
        wins[quantity] = WinCounts(
            better=sum(j.word == "improves" for _, j in pairs),
            worse=worse.count(False),
            higher=len(higher),
            lower=worse.count(True),
            of=len(pairs),
        )
    return wins
