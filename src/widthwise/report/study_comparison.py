"""Studies side by side: differences where the same items were asked, and the reason where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..findings import (
    Comparison,
    Descent,
    Grid,
    GridRow,
    descents,
    judge_pairs,
    parents_of,
    shown_word,
    why_not_paired,
)
from ..stats import grouped, joined
from ..study import Record, is_control
from .model_results import ModelResults

_SPREAD = 0.005  # of expansion ratios that are one width in two decimals
_PLACES = 4  # that a sentence names


@dataclass(frozen=True, kw_only=True)
class ScoreComparison:
    """One score of a study minus that of another one, at one place.

    Attributes:
        first: Name of the study that is taken away: the earlier one, or that of the model which
            the other one's was cut or healed from.
        second: Name of the other one.
        quantity: The task.
        place: The networks: `"ppm 1.58x"`, or both where they differ.
        own: Of the second study.
        other: Of the first.
        judged: What the difference may be called, p adjusted over all places of the task.
        is_descent: Whether the second study's network was made from the first one's, which the
            sentences of `findings.descent` tell.
    """

    first: str
    second: str
    quantity: str
    place: str
    own: Record
    other: Record
    judged: Comparison
    is_descent: bool = False

    @property
    def word(self) -> str:
        """What the difference may be called in a table."""
        return "degrades" if self.judged.is_loss else shown_word(self.judged, self.own)


def compare(series: Sequence[ModelResults]) -> tuple[tuple[ScoreComparison, ...], tuple[str, ...]]:
    """Every checkpoint beside what it was cut from, then every later study beside every earlier
    one; and where they are not paired and why."""
    kin = descents([result.grid for result in series])
    comparisons = [_descent(pair, pair.judged, series) for pair in kin if pair.judged]
    notes: list[str] = []
    for first, second in combinations((s for s in series if s.grid.networks), 2):
        both = {first.grid, second.grid}
        descended = {p.quantity for p in kin if {p.grid, p.ancestor.grid} == both}
        shared = [q for q in second.grid.quality if q in first.grid.quality]
        apart: list[tuple[str, str]] = []
        for quantity in shared:
            pairs = list(_pairs(first.grid, second.grid, quantity, is_told=quantity in descended))
            if not pairs and quantity in descended:
                continue
            reason = _why_not(pairs) if pairs else _why_none(first.grid, second.grid, quantity)
            if reason:
                apart.append((reason, quantity))
            else:
                comparisons += _judge(first, second, quantity, pairs)
        notes += [
            f"{second.name} and {first.name} are not paired on {', '.join(quantities)}: {reason}."
            for reason, quantities in grouped(apart).items()
        ]
        if not shared:
            notes.append(f"{second.name} and {first.name} have no task in common.")
    return tuple(comparisons), tuple(notes)


def _descent(pair: Descent, judged: Comparison, series: Sequence[ModelResults]) -> ScoreComparison:
    """A checkpoint minus what it was made from, whichever study came first."""
    (second,) = (result for result in series if result.grid is pair.grid)
    (first,) = (result for result in series if result.grid is pair.ancestor.grid)
    return ScoreComparison(
        first=first.name,
        second=second.name,
        quantity=pair.quantity,
        place=f"{second.model} beside {first.model}",
        own=pair.own,
        other=pair.other,
        judged=judged,
        is_descent=True,
    )


_Pair = tuple[GridRow, Record, GridRow, Record]  # of the later study, then of the earlier one


def _pairs(first: Grid, second: Grid, quantity: str, *, is_told: bool) -> Iterator[_Pair]:
    """Networks of both studies that have the same place; `is_told` leaves out the whole networks,
    of which one was made from the other."""
    for network in second.networks:
        own = second.cells.get((network, quantity))
        partners = match_records(network, first, second)
        exact = [n for n in partners if n.width == network.width]
        for place in exact or partners:
            if is_told and network.criterion is None and place.criterion is None:
                continue
            other = first.cells.get((place, quantity))
            if own and other and own.cell != other.cell and None not in (own.value, other.value):
                yield network, own, place, other


def match_records(network: GridRow, first: Grid, second: Grid) -> list[GridRow]:
    """The same cut; or the cut as wide by the one other criterion of the other study; of a whole
    network as wide as a cut of the other study, that cut: the study of a pruned checkpoint, healed
    or not, has that checkpoint for its whole network."""
    same = [
        n
        for n in first.networks
        if n.criterion == network.criterion
        and (network.criterion is None or _as_wide(n, network) or n.asked == network.asked)
    ]
    if network.criterion is None:
        if second.origin is not None and not parents_of(second, [first]):
            return same  # of another model
        cuts = [n for n in first.networks if n.criterion and not is_control(n.criterion)]
        return [n for n in cuts if _as_wide(n, network)] or same
    mine, others = ([c for c in grid.criteria if not is_control(c)] for grid in (second, first))
    if not same and mine == [network.criterion] and len(others) == 1:
        return [n for n in first.cut_by(others[0]) if _as_wide(n, network)]
    return same


def _why_none(first: Grid, second: Grid, quantity: str) -> str:
    """Why there is nothing to pair."""
    mine, other = ({r.cell for r in grid.column(quantity)} for grid in (second, first))
    return "what they share are the same cells" if mine & other else "no network at a common place"


def _as_wide(first: GridRow, other: GridRow) -> bool:
    return abs(first.expansion_ratio - other.expansion_ratio) < _SPREAD


def _why_not(pairs: Sequence[_Pair]) -> str:
    """Why the scores are not of the same items; "" if they are."""
    return next(filter(None, (why_not_paired(own, other) for _, own, _, other in pairs)), "")


def _judge(
    first: ModelResults, second: ModelResults, quantity: str, pairs: Sequence[_Pair]
) -> Iterator[ScoreComparison]:
    """The words of `findings.comparisons`, with the earlier study in the place of a control."""
    words = judge_pairs(quantity, [(own, other) for _, own, _, other in pairs])
    for (network, own, place, other), judged in zip(pairs, words, strict=True):
        yield ScoreComparison(
            first=first.name,
            second=second.name,
            quantity=quantity,
            place=_place(network, second, place, first),
            own=own,
            other=other,
            judged=judged,
        )


def _place(own: GridRow, second: ModelResults, other: GridRow, first: ModelResults) -> str:
    names = [
        result.model if n.criterion is None and n.whole != "dense" else n.label
        for n, result in ((own, second), (other, first))
    ]
    return names[0] if names[0] == names[1] else f"{names[0]} beside {names[1]}"


def comparison_sentences(comparisons: Sequence[ScoreComparison]) -> list[str]:
    """A sentence for each two studies: on what the later one is shown better or worse.

    What one network was made from is left to `findings.descent`.
    """
    groups = grouped(
        ((beside.first, beside.second, " beside " in beside.place), beside)
        for beside in comparisons
        if not beside.is_descent
    )
    return [_sentence(group) for group in groups.values()]


def _sentence(group: Sequence[ScoreComparison]) -> str:
    asked = Counter(beside.quantity for beside in group)
    better = Counter(beside.quantity for beside in group if beside.judged.word == "improves")
    worse = Counter(beside.quantity for beside in group if beside.judged.is_loss)
    tasks = f"{len(asked)} task" + ("s" if len(asked) > 1 else "")
    places = list(dict.fromkeys(beside.place for beside in group))
    several = len(places) > 1

    def counted(quantity: str, count: int) -> str:
        return f"{quantity} ({count} of {asked[quantity]} networks)" if several else quantity

    shown = [
        f"{word} on {', '.join(counted(q, n) for q, n in counts.items())}"
        for word, counts in (("better", better), ("worse", worse))
        if counts
    ]
    anywhere = " at any of these" if several else ""
    verdict = f"shown to be {' and '.join(shown)}" if shown else f"not shown to differ{anywhere}"
    names = f"{group[0].second} beside {group[0].first}"
    return f"On the same items of {tasks}, {names} ({joined(places, most=_PLACES)}) is {verdict}."
