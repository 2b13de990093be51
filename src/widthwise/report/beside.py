"""Studies side by side: differences where the same items were asked, and the reason where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ..findings.grid import Grid, Network
from ..findings.judge import Judged, beside_control
from ..study.network import is_control
from ..study.records import Record
from .series import Series

_SAME = ("metric", "shots", "task_version", "source", "max_new_tokens", "until", "floors")
_NAMES = {"source": "samples", "floors": "floors, so other items", "task_version": "task versions"}
_WAY = ("later", "earlier")
_SPREAD = 0.005  # of expansion ratios that are one width in two decimals


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One score of a study minus that of an earlier one, at one place.

    Attributes:
        first: Name of the earlier study.
        second: Name of the later one.
        quantity: The task.
        place: The networks: `"ppm 1.58x"`, or both where they differ.
        own: Of the later study.
        other: Of the earlier one.
        judged: What the difference may be called, p adjusted over all places of the task.
        is_worse: Whether the earlier study is shown to be better.
    """

    first: str
    second: str
    quantity: str
    place: str
    own: Record
    other: Record
    judged: Judged
    is_worse: bool


def compare(series: Sequence[Series]) -> tuple[tuple[Beside, ...], tuple[str, ...]]:
    """Every later study beside every earlier one, and where they are not paired and why."""
    found: list[Beside] = []
    notes: list[str] = []
    for first, second in combinations(series, 2):
        if first.grid is None or second.grid is None:
            continue
        apart: dict[str, list[str]] = {}
        for quantity in second.grid.quality:
            if quantity not in first.grid.quality:
                continue
            pairs = list(_pairs(first.grid, second.grid, quantity))
            reason = _why_not(pairs) if pairs else _why_none(first.grid, second.grid, quantity)
            if reason:
                apart.setdefault(reason, []).append(quantity)
            else:
                found += _judge(first, second, quantity, pairs)
        notes += [
            f"{second.name} and {first.name} are not paired on {', '.join(quantities)}: {reason}."
            for reason, quantities in apart.items()
        ]
        if not set(first.grid.quality) & set(second.grid.quality):
            notes.append(f"{second.name} and {first.name} have no task in common.")
    return tuple(found), tuple(notes)


_Pair = tuple[Network, Record, Network, Record]  # of the later study, then of the earlier one


def _pairs(first: Grid, second: Grid, quantity: str) -> Iterator[_Pair]:
    for network in second.networks:
        own = second.cells.get((network, quantity))
        partners = _partners(network, first, second)
        exact = [n for n in partners if n.width == network.width]
        for place in exact or partners:
            other = first.cells.get((place, quantity))
            if own and other and own.cell != other.cell and None not in (own.value, other.value):
                yield network, own, place, other


def _partners(network: Network, first: Grid, second: Grid) -> list[Network]:
    """The same cut; or the cut as wide by the one other criterion of the other study; of a dense
    network as wide as a cut of the other study, that cut: the study of a pruned checkpoint, healed
    or not, has that checkpoint for its dense."""
    same = [
        n
        for n in first.networks
        if n.criterion == network.criterion
        and (network.criterion is None or _as_wide(n, network) or n.asked == network.asked)
    ]
    if network.criterion is None:
        cuts = [n for n in first.networks if n.criterion and not is_control(n.criterion)]
        return [n for n in cuts if _as_wide(n, network)] or same
    mine, other = (_chosen(grid) for grid in (second, first))
    if not same and mine == [network.criterion] and len(other) == 1:
        return [n for n in first.cut_by(other[0]) if _as_wide(n, network)]
    return same


def _chosen(grid: Grid) -> list[str]:
    """The criteria that are no control."""
    return [criterion for criterion in grid.criteria if not is_control(criterion)]


def _why_none(first: Grid, second: Grid, quantity: str) -> str:
    """Why there is nothing to pair."""
    mine, other = ({r.cell for r in grid.column(quantity)} for grid in (second, first))
    return "what they share are the same cells" if mine & other else "no network at a common place"


def _as_wide(one: Network, other: Network) -> bool:
    return abs(one.expansion_ratio - other.expansion_ratio) < _SPREAD


def _why_not(pairs: Sequence[_Pair]) -> str:
    """Why the scores are not of the same items; "" if they are."""
    for _, own, _, other in pairs:
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


def _judge(
    first: Series, second: Series, quantity: str, pairs: Sequence[_Pair]
) -> Iterator[Beside]:
    """The words of `findings.judge`, with the earlier study in the place of a control."""
    cells: dict[tuple[Network, str], Record] = {}
    for width, (_, own, _, other) in enumerate(pairs, 1):  # a width of its own for each pair
        for criterion, record in zip(_WAY, (own, other), strict=True):
            network = Network(criterion=criterion, asked="", width=width, expansion_ratio=0.0)
            cells[network, quantity] = replace(record, criterion=criterion)
    networks = tuple(network for network, _ in cells)
    grid = Grid(model=second.model, networks=networks, quantities=(quantity,), cells=cells)
    ahead, behind = (beside_control(grid, *way) for way in (_WAY, _WAY[::-1]))
    for (network, _), found in ahead.items():
        own_network, own, other_network, other = pairs[network.width - 1]
        reverse = behind.get((replace(network, criterion="earlier"), quantity))
        yield Beside(
            first=first.name,
            second=second.name,
            quantity=quantity,
            place=_place(own_network, other_network),
            own=own,
            other=other,
            judged=found,
            is_worse=reverse is not None and reverse.word == "improves",
        )


def _place(own: Network, other: Network) -> str:
    if own.label == other.label:
        return own.label
    return f"{own.label} beside {other.label}"


def beside_sentences(found: Sequence[Beside]) -> list[str]:
    """A sentence for each two studies: on what the later one is shown better or worse."""
    groups: dict[tuple[str, str], list[Beside]] = {}
    for beside in found:
        groups.setdefault((beside.first, beside.second), []).append(beside)
    return [_sentence(*names, group) for names, group in groups.items()]


def _sentence(first: str, second: str, group: Sequence[Beside]) -> str:
    asked = _counts(group)
    better = _counts([beside for beside in group if beside.judged.word == "improves"])
    worse = _counts([beside for beside in group if beside.is_worse])
    tasks = f"{len(asked)} task" + ("s" if len(asked) > 1 else "")
    shown = [
        f"{word} on {', '.join(f'{q} ({n} of {asked[q]} networks)' for q, n in counts.items())}"
        for word, counts in (("better", better), ("worse", worse))
        if counts
    ]
    said = f"shown to be {' and '.join(shown)}" if shown else "not shown to differ at any width"
    return f"On the same items of {tasks}, {second} beside {first} is {said}."


def _counts(group: Sequence[Beside]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for beside in group:
        counts[beside.quantity] = counts.get(beside.quantity, 0) + 1
    return counts
