"""What a checkpoint was cut or healed from, where that is at hand, and how it stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..stats import difference_text, grouped, joined, number
from ..study import Record
from .comparisons import Comparison, beats_its_floor
from .grid import Grid
from .origin import WEIGHTS
from .pairs import judge_pairs, shown_word, why_not_paired

_WITH_NUMBERS = 4  # tasks without a change that a sentence gives the numbers of
_CHANGES = ("improves", "degrades")


@dataclass(frozen=True, kw_only=True)
class Ancestor:
    """A model that a checkpoint came from.

    Attributes:
        grid: Its records; it is the whole network of them.
        how: What made the checkpoint of it: `"made from"`.
        title: What a sentence calls its score: `"its parent"`.
    """

    grid: Grid
    how: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Descent:
    """One score of a checkpoint beside that of a model that it came from.

    Attributes:
        grid: Records of the checkpoint.
        ancestor: The model.
        quantity: The task.
        own: The checkpoint's record.
        other: The model's.
        judged: What the difference may be called, p adjusted over all such pairs of the task; None
            where they are not of the same items.
        reason: Why they are not; "" where they are.
    """

    grid: Grid
    ancestor: Ancestor
    quantity: str
    own: Record
    other: Record
    judged: Comparison | None = None
    reason: str = ""


def parents_of(grid: Grid, others: Sequence[Grid]) -> list[Grid]:
    """The records of the model that the whole network of a grid was cut from, if they are there.

    It is known by its weights; of records that do not name these, by its name and its width.
    """
    origin = grid.origin
    if origin is None:
        return []
    parents = []
    for other in others:
        if other is grid or other.dense is None:
            continue
        weights = _weights(other)
        name = Path(other.model).name
        by_name = name == origin.parent_name and other.dense.width == origin.parent_width
        if weights == {origin.parent_weights} or (by_name and not weights):
            parents.append(other)
    return parents


def _unhealed(grid: Grid, others: Sequence[Grid]) -> list[Grid]:
    """The cut that a healed one was before: by its weights, or where records of the healed one do
    not name these, the only one that was cut alike."""
    origin = grid.origin
    if origin is None or not origin.healed:
        return []
    cuts = [o for o in others if o is not grid and o.dense is not None]
    if origin.healed_from_weights is not None:
        return [o for o in cuts if _weights(o) == {origin.healed_from_weights}]
    alike = [
        o
        for o in cuts
        if (other_origin := o.origin) and not other_origin.healed and other_origin.is_cut_as(origin)
    ]
    return alike if len({frozenset(_weights(o)) for o in alike}) == 1 else []


def _weights(grid: Grid) -> set[str]:
    whole = (record for (network, _), record in grid.cells.items() if network == grid.dense)
    return {record.settings[WEIGHTS] for record in whole if WEIGHTS in record.settings}


def ancestors_of(grid: Grid, others: Sequence[Grid]) -> list[Ancestor]:
    """All that is at hand of what the whole network of a grid came from, its parent first."""
    parents, seen = parents_of(grid, others), [grid]
    ancestors = [Ancestor(grid=parent, how="made from", title="its parent") for parent in parents]
    ancestors += [
        Ancestor(grid=parent, how="healed from", title="before healing")
        for parent in _unhealed(grid, others)
    ]
    while parents and parents[0] not in seen:
        between = parents[0]
        seen.append(between)
        parents = [parent for parent in parents_of(between, others) if parent not in seen]
        how = f"made by way of {between.model} from"
        ancestors += [Ancestor(grid=parent, how=how, title="that") for parent in parents]
    return ancestors


def descents(grids: Sequence[Grid]) -> list[Descent]:
    """Every whole network beside all that it came from, on each task that both were asked."""
    pairs = [pair for grid in grids for pair in _pairs(grid, grids)]
    judged: dict[tuple[str, str, str], Comparison] = {}  # by task and both cells
    for quantity, asked in grouped((p.quantity, p) for p in pairs if not p.reason).items():
        family = {(pair.own.cell, pair.other.cell): (pair.own, pair.other) for pair in asked}
        words = judge_pairs(quantity, list(family.values()))
        judged |= {(quantity, *at): word for at, word in zip(family, words, strict=True)}
    return [replace(p, judged=judged.get((p.quantity, p.own.cell, p.other.cell))) for p in pairs]


def _pairs(grid: Grid, others: Sequence[Grid]) -> Iterator[Descent]:
    for ancestor in ancestors_of(grid, others):
        for quantity in grid.quality:
            own, other = grid.of_dense(quantity), ancestor.grid.of_dense(quantity)
            if own is None or other is None or own.higher_is_better is None:
                continue
            if None not in (own.value, other.value):
                yield Descent(
                    grid=grid,
                    ancestor=ancestor,
                    quantity=quantity,
                    own=own,
                    other=other,
                    reason=why_not_paired(own, other),
                )


def kin_sentences(grid: Grid, others: Sequence[Grid]) -> list[str]:
    """How a checkpoint that was cut stands beside its parent and what else it came from; of a model
    that others at hand were made from, which these are.

    Args:
        grid: Records of the model.
        others: Records of all models at hand, its own among them or not.
    """
    every = list(dict.fromkeys((grid, *others)))
    judged = descents(every)
    sentences = _made_of(grid, every, judged)
    origin = grid.origin
    if origin is None:
        return sentences
    pairs = [pair for pair in judged if pair.grid is grid]
    of_parent = [pair for pair in pairs if pair.ancestor.title == "its parent"]
    if not parents_of(grid, every):
        sentences.append(
            f"Its parent {origin.parent_name} was not measured here, so what the cut cost is not "
            "seen: ask both the same items, and draw both on one page (widthwise report PARENT "
            "CUT), or measure both in one study."
        )
    elif not of_parent:
        sentences.append(
            f"Its parent {origin.parent_name} was asked none of its tasks here, so what the cut "
            "cost is not seen."
        )
    sentences += _comparisons_of(pairs)
    return [*sentences, *_beside_floors(origin.parent_name, of_parent)]


def _made_of(grid: Grid, every: Sequence[Grid], pairs: Sequence[Descent]) -> list[str]:
    """Which models at hand were made from this one, those that it is compared with first."""
    made = [o.model for o in every if grid in (a.grid for a in ancestors_of(o, every))]
    compared = {p.grid.model for p in pairs if p.judged and p.ancestor.grid == grid}
    of = grouped((model in compared, model) for model in dict.fromkeys(made))
    return [
        f"Made from it, {words} compared with it: {joined(of[known])}."
        for known, words in ((True, "and"), (False, "but not"))
        if known in of
    ]


def comparisons(grid: Grid, others: Sequence[Grid]) -> list[str]:
    """How a checkpoint stands beside what it came from, as far as that is at hand; parent first."""
    every = list(dict.fromkeys((grid, *others)))
    return _comparisons_of([pair for pair in descents(every) if pair.grid is grid])


def _comparisons_of(pairs: Sequence[Descent]) -> list[str]:
    """The same of a checkpoint's pairs that are judged already."""
    by_way = grouped((pair.ancestor.how, pair) for pair in pairs)
    return [sentence for kin in by_way.values() for sentence in _beside(kin)]


def _beside(kin: Sequence[Descent]) -> Iterator[str]:
    """A sentence on the tasks that were asked alike, and one on those that were not.

    Of a model that was measured in several places, each task is compared with the first of them
    where the same items were asked.
    """
    alike = {pair.quantity: pair for pair in reversed(kin) if pair.judged}
    apart = {pair.quantity: pair for pair in kin if pair.quantity not in alike}
    first = kin[0]
    if alike:
        pairs = [alike[q] for q in first.grid.quality if q in alike]
        clauses = "; ".join(_clauses(pairs))
        yield f"{first.grid.model}, {first.ancestor.how} {first.ancestor.grid.model}: {clauses}."
    for reason, quantities in grouped((pair.reason, q) for q, pair in apart.items()).items():
        yield (
            f"{first.grid.model} is not compared with {first.ancestor.grid.model} on "
            f"{joined(quantities)}: {reason}."
        )


def _clauses(pairs: Sequence[Descent]) -> Iterator[str]:
    """With numbers every task that changed, and the others too where they are few."""
    words = {pair.quantity: shown_word(pair.judged, pair.own) for pair in pairs if pair.judged}
    changed = [pair for pair in pairs if words[pair.quantity] in _CHANGES]
    others = [pair for pair in pairs if pair not in changed]
    numbered = others if len(others) <= _WITH_NUMBERS else []
    for pair in (*changed, *numbered):
        assert pair.judged is not None  # those without are told apart
        unit = pair.own.unit
        clause = f"{pair.quantity} {number(pair.own.value or 0.0, unit)}, {pair.ancestor.title} "
        clause += number(pair.other.value or 0.0, unit)
        if pair.judged.difference is not None:
            clause += f", {difference_text(pair.judged.difference, unit)}"
        yield f"{clause}, {words[pair.quantity]}"
    unnumbered = others[len(numbered) :]
    for word, quantities in grouped((words[p.quantity], p.quantity) for p in unnumbered).items():
        yield f"{word} on {joined(quantities, most=13)}"


def _beside_floors(parent: str, kin: Sequence[Descent]) -> Iterator[str]:
    """On which tasks the parent alone beats the floor, and on which neither does."""
    pairs = {pair.quantity: pair for pair in reversed(kin)}
    low = [pair for pair in reversed(pairs.values()) if not beats_its_floor(pair.own)]
    alone = [pair.quantity for pair in low if beats_its_floor(pair.other)]
    neither = [pair.quantity for pair in low if pair.quantity not in alone]
    if alone:
        yield (
            f"Its parent {parent} beats the floor on {joined(alone)}, where this one is not shown "
            "to."
        )
    if neither:
        yield (
            f"On {joined(neither)} its parent {parent} is not shown to beat the floor either, "
            "so what the cut cost cannot be seen there."
        )
