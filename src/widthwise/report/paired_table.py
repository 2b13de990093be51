"""One model beside another on the same items: the table of a cut and what it was cut from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..findings import (
    Comparison,
    Grid,
    Table,
    build_grid,
    estimate_of,
    flips,
    judge_pairs,
    next_words,
    shown_word,
    why_not_paired,
)
from ..stats import difference_text, p_text, percent, with_error
from ..study import Record
from .distance_table import divergence_text, share_text


class _Pair(Protocol):
    @property
    def own(self) -> Record: ...

    @property
    def other(self) -> Record: ...


@dataclass(frozen=True, kw_only=True)
class TaskPair:
    """One task, asked of both models.

    Attributes:
        task: Its name.
        own: The score of the model.
        other: That of the model beside it.
        judged: What the difference may be called; None where items differ.
        reason: Why they do; "" where they do not.
    """

    task: str
    own: Record
    other: Record
    judged: Comparison | None
    reason: str

    @property
    def word(self) -> str:
        """What is said of the difference."""
        return self.reason if self.judged is None else shown_word(self.judged, self.own)

    @property
    def difference(self) -> str:
        """The difference with its interval; "" where there is none."""
        found = None if self.judged is None else self.judged.difference
        return "" if found is None else difference_text(found, self.own.unit)


def task_pairs(records: Sequence[Record], others: Sequence[Record]) -> list[TaskPair]:
    """Every task that both whole models were asked, in the order of the first.

    Args:
        records: Of one model.
        others: Of the model beside it.
    """
    mine, theirs = build_grid(records), build_grid(others)
    return [pair for task in mine.quality if (pair := _pair(task, mine, theirs)) is not None]


def _pair(task: str, mine: Grid, theirs: Grid) -> TaskPair | None:
    own, other = mine.of_dense(task), theirs.of_dense(task)
    if own is None or other is None or None in (own.value, other.value):
        return None
    reason, judged = why_not_paired(own, other), None
    if not reason:
        (judged,) = judge_pairs(task, [(own, other)])
    return TaskPair(task=task, own=own, other=other, judged=judged, reason=reason)


def paired_table(pairs: Sequence[TaskPair], names: tuple[str, str]) -> Table:
    """The table of some tasks.

    Args:
        pairs: The tasks.
        names: Of the model, and of the one beside it.
    """
    own, other = names
    return Table.of(
        pairs,
        {
            "task": lambda pair: pair.task,
            other: lambda pair: _score(pair.other),
            own: lambda pair: _score(pair.own),
            "difference [95 %]": lambda pair: pair.difference,
            "p": _p_text,
            "verdict": lambda pair: pair.word,
            **FROM_DENSE,
            "n": lambda pair: f"{pair.own.n:,}",
        },
        title=f"{own} beside {other}",
        about="Both on the same items, with intervals of the difference.",
    ).nonempty()


def _score(record: Record) -> str:
    score = estimate_of(record)
    return "" if score is None else with_error(score, record.unit)


def _p_text(pair: TaskPair) -> str:
    if pair.judged is None or pair.judged.p_value is None:
        return ""
    return p_text(pair.judged.p_value)


def _flipped(pair: _Pair, way: str) -> str:
    found = flips(pair.own, pair.other)
    return "" if found is None else percent(getattr(found, way))


# Columns of how far the first of two models is from the second, which is its dense one.
FROM_DENSE: Mapping[str, Callable[[_Pair], str]] = {
    "KL [95 %]": lambda pair: divergence_text(next_words(pair.own)),
    "same first choice": lambda pair: share_text(next_words(pair.own), "agreement"),
    "accepted": lambda pair: share_text(next_words(pair.own), "acceptance"),
    "lost": lambda pair: _flipped(pair, "lost"),
    "won": lambda pair: _flipped(pair, "won"),
}
