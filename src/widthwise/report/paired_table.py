"""One model beside another on the same items: the table of a cut and what it was cut from."""

from __future__ import annotations

from collections.abc import Sequence

from ..findings import Table, TaskPair, estimate_of
from ..stats import p_text, with_error
from ..study import Record
from .distance_table import FROM_DENSE


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
            "task": lambda pair: pair.quantity,
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
