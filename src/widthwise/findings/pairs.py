"""Two scores that belong to no grid of widths: whether they are comparable, and what is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..stats import difference_text
from ..study import Record
from .comparisons import Comparison, floor_status, judge_family, paired
from .grid import Grid, GridRow, build_grid

_SAME = ("metric", "shots", "task_version", "source", "max_new_tokens", "until", "floors")
_NAMES = {"source": "samples", "floors": "floors, so other items", "task_version": "task versions"}


@dataclass(frozen=True, kw_only=True)
class TaskPair:
    """One task, asked of two whole models.

    Attributes:
        quantity: The task.
        own: The score of the model.
        other: That of the model beside it.
        judged: What the difference may be called; None where items differ.
        reason: Why they do; "" where they do not.
    """

    quantity: str
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
    if own is None or other is None or own.higher_is_better is None:
        return None
    if None in (own.value, other.value):
        return None
    reason, judged = why_not_paired(own, other), None
    if not reason:
        (judged,) = judge_pairs(task, [(own, other)])
    return TaskPair(quantity=task, own=own, other=other, judged=judged, reason=reason)


def judge_pairs(quantity: str, pairs: Sequence[tuple[Record, Record]]) -> list[Comparison]:
    """The first of each pair beside the second; all of them are one family of tests.

    Args:
        quantity: Of all of them.
        pairs: Records with a value and a better direction.

    Raises:
        RunError: The two of a pair have different numbers of items.
    """
    family = []
    for place, (own, other) in enumerate(pairs):  # a width of its own for each pair
        network = GridRow(criterion=own.model, asked="", width=place, expansion_ratio=0.0)
        family.append((network, own, other))
    judged = judge_family(quantity, family, paired)
    return [judged[network, quantity] for network, _, _ in family]


def shown_word(judged: Comparison, own: Record) -> str:
    """The word of a score beside another one; where that is none, whether few items are why.

    A score whose items are too few to say whether it is above its floor may be shown to be worse
    than the other one nevertheless: it `degrades`. Of one at the floor the loss is whole.
    """
    if judged.word == "no change shown" and not judged.could_tell:
        return "too few items"
    if judged.word != "at the floor":
        return judged.word
    status = floor_status(own)
    return "degrades" if status == "too few items" and judged.is_loss else status


def why_not_paired(own: Record, other: Record) -> str:
    """Why two scores of one task cannot be compared item by item; "" if they can."""
    if own.unit != other.unit:
        return f"{own.unit} and {other.unit}"
    if not own.items or not other.items:
        return "no items are stored"
    if own.settings.get("until") is None and len(own.items) != len(other.items):
        return f"{len(own.items):,} and {len(other.items):,} items"
    if own.settings.get("floor_rule") != other.settings.get("floor_rule"):
        return "floors of different versions; going on with the older study renews them"
    shared = min(len(own.floor_items), len(other.floor_items))
    if own.floor != other.floor or own.floor_items[:shared] != other.floor_items[:shared]:
        return "other floors, so other items"
    for name in _SAME:
        if own.settings.get(name) != other.settings.get(name):
            return f"other {_NAMES.get(name, name.replace('_', ' '))}"
    return ""
