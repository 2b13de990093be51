"""How far a network is from the dense model: in its next words, and in answers that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..stats import Positive, Share, mean_with_error, with_ends
from ..study import Record
from .grid import Grid
from .pairs import why_not_paired


@dataclass(frozen=True, kw_only=True)
class NextWords:
    """How far the next words of a network are from the dense model's, on one task.

    Means over items of the mean over the tokens of each, with intervals over items. That of the
    divergence, which is skewed to the right, held the true mean in 93 to 94 % of draws of 24 to 150
    items of two tasks (LOG, 2026-11-30); the others in 95 %.

    Attributes:
        divergence: KL divergence, dense from the network, nats a token.
        agreement: Share of tokens of which both have the same likeliest word.
        acceptance: Share of words drawn by the network that the dense model would accept as a
            draft: 1 less the total variation.
        tokens: Tokens that were compared.
    """

    divergence: Positive
    agreement: Share
    acceptance: Share
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Items whose answer is right of one model alone.

    Attributes:
        lost: Share of all items that the dense model has right and the network wrong.
        won: Share of those the other way round.
        n: Items that both answered.
    """

    lost: float
    won: float
    n: int


def next_words(record: Record) -> NextWords | None:
    """How far the network of a record is from the dense model; None where that is not known."""
    found = record.distances
    if found is None:
        return None
    mean = mean_with_error(found.divergence)
    return NextWords(
        divergence=Positive(value=mean.value, standard_error=mean.standard_error, n=mean.n),
        agreement=_share(found.agreement),
        acceptance=_share(found.acceptance),
        tokens=sum(found.tokens),
    )


def _share(values: Sequence[float]) -> Share:
    mean = mean_with_error(values)
    return Share(value=mean.value, standard_error=mean.standard_error, n=mean.n)


def divergence_text(found: Positive, decimals: int = 2) -> str:
    """A divergence and its interval; that of one item alone, or of 0, is not known."""
    is_known = found.standard_error is not None and found.value > 0
    return with_ends(found.value, *(found.interval() if is_known else ()), decimals=decimals)


def compared_text(grid: Grid) -> str | None:
    """The task on which networks are compared with dense token by token: the first that is a text
    and no questions, where there is one; None where none was compared."""
    compared = [
        quantity
        for quantity in grid.quality
        if any(record.distances is not None for record in grid.column(quantity))
    ]
    texts = [quantity for quantity in compared if grid.sample(quantity).unit != "accuracy"]
    return next(iter(texts or compared), None)


def distance_sentence(grid: Grid) -> str:
    """How far the widest and the narrowest cut of each criterion are from dense; "" if unknown."""
    quantity = compared_text(grid)
    if quantity is None:
        return ""
    parts = []
    for criterion in grid.criteria:
        known = []
        for network in grid.cut_by(criterion):
            record = grid.cells.get((network, quantity))
            if record is not None and (words := next_words(record)) is not None:
                known.append((words.divergence, network.ratio))
        ends = dict.fromkeys([*known[:1], *known[-1:]])
        if ends:
            told = " and ".join(f"{divergence_text(found)} at {ratio}" for found, ratio in ends)
            parts.append(f"{told} by {criterion}")
    if not parts:  # a whole model beside another one, which is no cut here
        return ""
    return (
        f"Next words on {quantity} differ from the dense model's by (KL, nats a token): "
        f"{'; '.join(parts)}."
    )


def flips(own: Record, dense: Record | None) -> Flips | None:
    """Answers that changed both ways; None of a score that is no share of right answers, and where
    the two were not asked the same items."""
    if dense is None or own.unit != "accuracy" or why_not_paired(own, dense):
        return None
    pairs = list(zip(own.items, dense.items, strict=False))  # ended early: those that both answered
    if any(value not in (0.0, 1.0) for pair in pairs for value in pair):
        return None
    lost = sum(ours < theirs for ours, theirs in pairs)
    won = sum(ours > theirs for ours, theirs in pairs)
    return Flips(lost=lost / len(pairs), won=won / len(pairs), n=len(pairs))
