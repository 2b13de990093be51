"""The answer in a few sentences, each one said by the intervals and by nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from ..findings import (
    Comparisons,
    Grid,
    GridRow,
    beats_its_floor,
    build_grid,
    compare_to_control,
    compare_to_dense,
    describe_draws,
    floor_status,
    is_above_floor,
    is_worse,
    kin_sentences,
    network_of,
)
from ..stats import Estimate, capital, change_text, joined, number, paired_ratio
from ..study import CONTROL, Record
from .cost_figures import cost_ratios
from .cost_table import took_turns
from .network_table import speed_ratio

_COST_NAMES = {
    "ttft": "the time to the first token",
    "tpot": "that of a next token",
    "joules": "the energy of a token",
}
_MOST = 6  # networks that are named; the table has them all


def answer(records: Sequence[Record], others: Sequence[Grid] = ()) -> list[str]:
    """What dense knows, what each cut does to it, and whether the criterion beats the control.

    Args:
        records: Of one model.
        others: As for `sentences`.

    Raises:
        RunError: As `build_grid`.
    """
    grid = build_grid(records)
    return sentences(grid, compare_to_dense(grid), others=others)


def sentences(
    grid: Grid,
    judged: Comparisons,
    apart: Grid | None = None,
    others: Sequence[Grid] = (),
) -> list[str]:
    """The answer from records that are arranged and judged already; it always says something.

    Args:
        grid, judged, apart: As for `scores_of`.
        others: What else is at hand, among it perhaps the parent of a network that was cut before.
    """
    said = [_of_dense(grid), *kin_sentences(grid, others)]
    for criterion in grid.criteria:
        if criterion != CONTROL or len(grid.criteria) == 1:
            said.append(_of_cuts(grid, judged, criterion))
    if CONTROL in grid.criteria:
        said += [
            _of_control(apart or grid, criterion)
            for criterion in grid.criteria
            if criterion != CONTROL
        ]
    return [sentence for sentence in said if sentence]


def cost_sentence(grid: Grid) -> str:
    """Size and speed at the narrowest width that was timed, beside dense; "" if none was."""
    timed = [
        network
        for network in grid.networks
        for quantity in grid.speeds
        if (network, quantity) in grid.cells and speed_ratio(grid, grid.cells[network, quantity])
    ]
    if not timed:
        return ""
    narrowest = min(timed, key=lambda network: network.width)
    parts = []
    for quantity in grid.speeds:
        record = grid.cells.get((narrowest, quantity))
        ratio = speed_ratio(grid, record) if record else None
        if ratio is not None and ratio.standard_error is not None:
            parts.append(_told(f"the speed of {quantity}", ratio))
    return f"At {narrowest.ratio}, {joined(parts)}." if parts else ""


def measured_sentences(records: Sequence[Record]) -> list[str]:
    """What the narrowest network costs beside dense on the first workload that was measured."""
    said: dict[str, list[str]] = {}
    for what, name in _COST_NAMES.items():
        for workload, column in list(cost_ratios(records, what).items())[:1]:
            narrowest = min(column, key=lambda network: network.width)
            place = f"{narrowest.ratio} on {workload}"
            said.setdefault(place, []).append(_told(name, column[narrowest]))
    sentences = [f"At {place}, {joined(parts)}." for place, parts in said.items()]
    return sentences + load_warnings(records) if sentences else []


def other_network_sentences(records: Sequence[Record]) -> list[str]:
    """What each other network of one run costs beside the first, on the first workload.

    Args:
        records: Costs of several models that took turns, the first network's first.
    """
    columns: dict[str, dict[tuple[str, GridRow], Record]] = {}
    workload = str(records[0].settings["workload"])
    for record in records:
        own, _, what = record.quantity.rpartition(" ")
        if own == workload and what in _COST_NAMES and record.items:
            place = record.model, network_of(record)
            columns.setdefault(what, {})[place] = record
    begin = records[0].model, network_of(records[0])
    said: dict[tuple[str, GridRow], list[str]] = {}
    for what, column in columns.items():
        first = column.pop(begin, None)
        for place, record in column.items():
            if first is not None and took_turns(record, first):
                ratio = paired_ratio(record.items, first.items)
                said.setdefault(place, []).append(_told(_COST_NAMES[what], ratio, "the first"))
    sentences = [
        f"{_named(model, network)} on {workload}: {joined(parts)}."
        for (model, network), parts in list(said.items())[:_MOST]
    ]
    if not sentences:
        return []
    return [f"The first is {_named(*begin)}.", *sentences, *load_warnings(records)]


def _named(model: str, network: GridRow) -> str:
    """A network of several models; one that was measured as it is goes by the model's name."""
    return model if network.criterion is None else f"{model}, {network.label}"


def _told(name: str, ratio: Estimate, other: str = "dense") -> str:
    """A ratio as its interval allows: what reaches over 1 is no difference that is shown."""
    if ratio.standard_error is None:
        return f"{name} is {ratio.value:.2f} times that of {other}"
    low, high = ratio.interval()
    ends = f"95 % interval {low:.2f} to {high:.2f}"
    if low <= 1 <= high:
        return f"{name} is not shown to differ from that of {other} ({ends} times)"
    return f"{name} is {ratio.value:.2f} times that of {other} ({ends})"


def load_warnings(records: Sequence[Record]) -> list[str]:
    """A warning where more processes wanted a core than there are while time was taken."""
    loads = [float(r.settings["load"]) for r in records if r.settings.get("is_busy")]
    if not loads:
        return []
    return [
        f"The machine was busy, up to {max(loads):.1f} processes wanted a core: measure on an "
        "idle one before you trust these times."
    ]


def _of_dense(grid: Grid) -> str:
    if grid.dense is None:
        return f"Dense {grid.model} was not measured, so nothing here says what a cut costs."
    dense = {q: grid.cells.get((grid.dense, q)) for q in grid.quality}
    known = [q for q, record in dense.items() if beats_its_floor(record)]
    bare = [q for q, r in dense.items() if r and r.value is not None and r.floor is None]
    at_floor = [
        q
        for q, record in dense.items()
        if record and record.value is not None and record.floor is not None and q not in known
    ]
    if not known and not at_floor:
        return f"No score of {grid.subject} has a floor to stand on, so no loss can be judged."
    few = [q for q in at_floor if (r := dense[q]) and floor_status(r) == "too few items"]
    subject = capital(grid.subject)
    is_cut = grid.origin is not None  # then what a cut costs is a question to its parent
    if not known:
        blind = "" if is_cut else ", so no loss can be shown"
        said = f"{subject} is not shown above the floor on {joined(at_floor)}{blind}"
        return said + "." + _too_few(few) + _without_floor(bare)
    said = f"{subject} beats the floor on {joined(known)}"
    at_floor = [q for q in at_floor if q not in few]
    if at_floor:
        blind = f", so {'these' if len(at_floor) > 1 else 'this'} cannot show what a cut costs"
        said += f"; on {joined(at_floor)} it does not{'' if is_cut else blind}"
    return said + "." + _too_few(few) + _without_floor(bare)


def _too_few(quantities: Sequence[str]) -> str:
    if not quantities:
        return ""
    return (
        f" On {joined(quantities)} there are too few items to tell: intervals reach from the floor "
        "to well above it."
    )


def _without_floor(quantities: Sequence[str]) -> str:
    if not quantities:
        return ""
    return (
        f" There is no floor on {joined(quantities)}, so what such a score is worth is not known."
    )


def _of_cuts(grid: Grid, judged: Comparisons, criterion: str) -> str:
    networks = grid.cut_by(criterion)
    measured = [q for q in grid.quality if any((n, q) in judged for n in networks)]
    counted = [q for q in measured if grid.dense and _can_lose(grid.cells.get((grid.dense, q)))]
    if not counted:
        return ""
    first = {word: _first(judged, networks, counted, word) for word in ("degrades", "at the floor")}
    clauses = []
    if first["degrades"]:
        clauses.append(_by_width(first["degrades"], "first shown to degrade at"))
    if first["at the floor"]:
        clauses.append(_by_width(first["at the floor"], "no longer shown above the floor from"))
    for quantity, network in _first(judged, networks, grid.quality, "improves").items():
        clauses.append(f"{quantity} is first shown to improve at {network.ratio}")
    still = [q for q in counted if q not in first["degrades"] and q not in first["at the floor"]]
    clauses += _unshown(grid, judged, networks, still)
    clauses += _ranges(grid, judged, networks[-1])
    return f"Cut by {criterion}, {'; '.join(clauses)}."


def _unshown(
    grid: Grid, judged: Comparisons, networks: Sequence[GridRow], quantities: Sequence[str]
) -> Iterable[str]:
    """On what no loss is shown, how large one may still be, and where none could be shown."""
    blind, open_ = [], []
    for quantity in quantities:
        found = [judged[n, quantity] for n in networks if (n, quantity) in judged]
        differences = (f.difference for f in found)
        ends = [d for d in differences if d is not None and math.isfinite(d.high - d.low)]
        if not ends or not any(f.could_tell for f in found):
            blind.append(quantity)
            continue
        sample = grid.sample(quantity)
        worst = min(d.low for d in ends) if sample.higher_is_better else max(d.high for d in ends)
        open_.append(f"{quantity} (intervals reach {change_text(worst, sample.unit)})")
    if open_:
        where = "at any width measured" if len(networks) > 1 else "at the one width measured"
        yield f"no loss is shown {where} on {joined(open_)}"
    if blind:
        yield f"{joined(blind)} {'have' if len(blind) > 1 else 'has'} too few items to show a loss"


def _can_lose(dense: Record | None) -> bool:
    """Whether the dense score is above a floor, or has none."""
    if dense is None or dense.value is None:
        return False
    return dense.floor is None or beats_its_floor(dense)


def _ranges(grid: Grid, judged: Comparisons, narrowest: GridRow) -> Iterable[str]:
    """How far the scores without an upper bound (bits per byte) have gone at the last width."""
    for quantity in grid.quality:
        dense = grid.cells.get((grid.dense, quantity)) if grid.dense else None
        last = grid.cells.get((narrowest, quantity))
        if not dense or not last or dense.value is None or last.value is None:
            continue
        found = judged.get((narrowest, quantity))
        if dense.higher_is_better is False and found and found.word == "degrades":
            unit = dense.unit.replace("_", " ")
            yield (
                f"{quantity} goes from {number(dense.value, dense.unit)} to "
                f"{number(last.value, last.unit)} {unit} at {narrowest.ratio}"
            )


def _of_control(grid: Grid, criterion: str) -> str:
    ahead = compare_to_control(grid, criterion, CONTROL)
    behind = compare_to_control(grid, CONTROL, criterion)
    if not ahead:
        return ""
    wins, losses, above, below, level = _counts(grid, ahead, behind)
    told = describe_draws(grid)
    if not told.startswith("mean"):
        return _of_one_draw(criterion, above, below, level)
    clauses = [f"is better on {_by_count(wins)}"] if wins else []
    clauses += [f"is worse on {_by_count(losses)}"] if losses else []
    clauses = clauses or ["is not shown to be better or worse on any task"]
    said = f"Beside the {CONTROL} control at the same width, {criterion} {joined(clauses)}"
    if level and (wins or losses):
        said += f"; on {joined(level)} neither is shown to be better"
    said += f". The control is the {told}"
    alone = [f"better on {_by_count(above)}"] if above else []
    alone += [f"worse on {_by_count(below)}"] if below else []
    if alone:
        said += f"; where there is one draw alone, {criterion} scores {joined(alone)}"
    return said + "."


def _of_one_draw(criterion: str, above: _Counts, below: _Counts, level: Sequence[str]) -> str:
    """A criterion beside the only draw of the control: of chance that says nothing."""
    draw = f"than the one draw of the {CONTROL} control"
    clauses = [f"better {draw} on {_by_count(above)}"] if above else []
    clauses += [f"worse{'' if above else ' ' + draw} on {_by_count(below)}"] if below else []
    said = f"At the same width, {criterion} "
    if clauses:
        said += f"scores {joined(clauses)}"
        said += f"; on {joined(level)} no difference is shown" if level else ""
    else:
        said += f"is not shown to score better or worse {draw} on any task"
    return said + ". How far other draws are from it is not known, so this says nothing of chance."


_Counts = dict[str, list[str]]


def _counts(
    grid: Grid, ahead: Comparisons, behind: Comparisons
) -> tuple[_Counts, _Counts, _Counts, _Counts, list[str]]:
    """Tasks by the widths at which a criterion is better, worse, above one draw, or below it.

    Last the tasks of which none of the first two is shown, and that no single draw tells apart.
    """
    counts: tuple[_Counts, _Counts, _Counts, _Counts] = ({}, {}, {}, {})
    level = []
    for quantity in grid.quality:
        up = bool(grid.sample(quantity).higher_is_better)
        sides = [[j for (_, q), j in both.items() if q == quantity] for both in (ahead, behind)]
        shown = [[j.word == "improves" for j in side] for side in sides]
        shown += [
            [j.one_draw and is_above_floor(j) and is_worse(j, not up) for j in s] for s in sides
        ]
        for place, found in zip(counts, shown, strict=True):
            if any(found):
                place.setdefault(f"{sum(found)} of {len(found)} widths", []).append(quantity)
        if sides[0] and not any(map(any, shown)):
            level.append(quantity)
    return (*counts, level)


def _first(
    judged: Comparisons, networks: Sequence[GridRow], quantities: Iterable[str], word: str
) -> dict[str, GridRow]:
    """For each quantity the widest network that has the word."""
    found: dict[str, GridRow] = {}
    for quantity in quantities:
        for network in networks:
            if (network, quantity) in judged and judged[network, quantity].word == word:
                found.setdefault(quantity, network)
    return found


def _by_width(first: Mapping[str, GridRow], phrase: str) -> str:
    """`prose and piqa are first shown to degrade at 1.60x, mmlu at 1.33x`."""
    groups: dict[str, list[str]] = {}
    for quantity, network in sorted(first.items(), key=lambda item: -item[1].width):
        groups.setdefault(network.ratio, []).append(quantity)
    (ratio, names), *rest = groups.items()
    said = f"{joined(names)} {'are' if len(names) > 1 else 'is'} {phrase} {ratio}"
    return ", ".join([said, *(f"{joined(names)} at {ratio}" for ratio, names in rest)])


def _by_count(groups: Mapping[str, Sequence[str]]) -> str:
    """`prose and mmlu at 4 of 6 widths, piqa at 1 of 6 widths`."""
    return ", ".join(f"{joined(names)} at {where}" for where, names in groups.items())
