"""Two scores side by side that belong to no grid of widths, and the word that a reader sees."""

from __future__ import annotations

from collections.abc import Sequence

from ..study import Record
from .comparisons import Comparison, floor_status, judge_family, paired
from .grid import GridRow


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
    found = judge_family(quantity, family, paired)
    return [found[network, quantity] for network, _, _ in family]


def shown_word(judged: Comparison, own: Record) -> str:
    """The word of a score beside another one; where that is none, whether few items are why."""
    if judged.word == "no change shown" and not judged.could_tell:
        return "too few items"
    return floor_status(own) if judged.word == "at the floor" else judged.word
