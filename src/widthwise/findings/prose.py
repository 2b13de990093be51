"""The answer in a few sentences, each one carried by intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stats import capital, joined, paired_share_interval
from ..study import quantity_text
from .comparisons import beats_its_floor, describe_draws, floor_status
from .control import WinCounts
from .descent import kin_sentences
from .grid import Grid
from .pareto import MEAN
from .tables import control_draw_text, loss_text, ratio
from .types import Front, WidthCurve

_VERBS: dict[str, tuple[str, str]] = {
    "falls": ("falls", "fall"),
    "rises": ("rises", "rise"),
    "rises and falls": ("is better at some widths and worse at others",) * 2,
    "holds": ("holds", "hold"),
    "no change shown": (
        "shows no change, but a loss is not ruled out",
        "show no change, but a loss is not ruled out",
    ),
    "too few items": ("has too few items to say", "have too few items to say"),
    "no known error": (
        "has no known error, so nothing is said",
        "have no known error, so nothing is said",
    ),
}


def of_dense(grid: Grid) -> str:
    """Which tasks dense knows something of."""
    if grid.dense is None:
        return f"Dense {grid.model} was not measured, so nothing here says what a cut costs."
    found = {q: grid.cells.get((grid.dense, q)) for q in grid.quality}
    valued = {q: r for q, r in found.items() if r is not None and r.value is not None}
    floored = {q: r for q, r in valued.items() if r.floor is not None}
    known = [q for q, r in floored.items() if beats_its_floor(r)]
    unknown = [q for q in floored if q not in known]
    bare = [q for q in valued if q not in floored]
    if not valued:
        return f"No score of {grid.subject} was measured, so no loss can be shown."
    said = []
    if floored:
        names = f": {joined(known, most=13)}" if known else ""
        count = f"{len(known)} of {len(floored)} tasks"
        said.append(f"{capital(grid.subject)} beats the floor on {count}{names}.")
    few = [q for q in unknown if floor_status(floored[q]) == "too few items"]
    if len(unknown) > len(few):
        at_floor = [q for q in unknown if q not in few]
        others = "the others" if known else "them"
        others = joined(at_floor, most=13) if few else others
        nothing = "" if grid.origin else ", so a cut has nothing to take there"
        said.append(f"On {others} it is not shown to{nothing}.")
    if few:
        said.append(
            f"On {joined(few, most=13)} there are too few items to tell: intervals reach from the "
            "floor to well above it."
        )
    if bare:
        said.append(f"{joined(bare)} {'have' if len(bare) > 1 else 'has'} no floor.")
    return " ".join(said)


def of_curves(criterion: str, curves: Sequence[WidthCurve]) -> str:
    """What falls, holds and rises, at some width measured."""
    groups: dict[str, list[str]] = {}
    for curve in curves:
        groups.setdefault(_group(curve), []).append(curve.quantity)
    clauses = [
        f"{joined(groups[trend], most=13)} {verbs[len(groups[trend]) > 1]}"
        for trend, verbs in _VERBS.items()
        if trend in groups
    ]
    if not clauses:
        return f"Cut by {criterion}, no task had anything to lose, and none is shown to gain."
    none = [] if {"rises", "rises and falls"} & set(groups) else ["rise"]
    none += [] if "holds" in groups else ["hold"]
    if none:
        clauses.append(f"no task is shown to {' or to '.join(none)}")
    return f"Cut narrower by {criterion}, {'; '.join(clauses)}."


def _group(curve: WidthCurve) -> str:
    """The trend, and of those that cannot be told the reason."""
    if curve.trend != "cannot tell":
        return curve.trend
    has_errors = any(point.low is not None for point in curve.points)
    return "too few items" if has_errors else "no known error"


def of_widths(criterion: str, curves: Sequence[WidthCurve], loss: float) -> str:
    """How far each task may be cut; nothing where no task has anything to lose."""
    groups: dict[str, list[str]] = {}
    for curve in curves:
        if curve.smallest is not None:
            groups.setdefault(ratio(curve.smallest.shown), []).append(curve.quantity)
    if not groups:
        return ""
    within = f"shown to keep within a loss of {loss_text(loss)}"
    dense = groups.pop("dense", [])
    if not groups:
        return f"Of the widths cut by {criterion}, none is {within}."
    said = "; ".join(f"down to {width} on {joined(tasks)}" for width, tasks in groups.items())
    rest = f"; on {joined(dense)} no width is" if dense else ""
    return f"Cut by {criterion}, a network is {within}: {said}{rest}."


def of_knees(criterion: str, curves: Sequence[WidthCurve]) -> str:
    """Where curves bend; nothing where none is shown to."""
    places: dict[bool, list[str]] = {}
    for curve in curves:
        knee = curve.knee
        if knee is not None:
            text = f"{curve.quantity} at {ratio(knee.point)}"
            if knee.low < knee.high:
                text += f" ({knee.low:.2f}x to {knee.high:.2f}x)"
            places.setdefault(knee.levels_off, []).append(text)
    ends = {True: "with most lost before", False: "with most lost beyond"}
    said = [f"{joined(found)}, {ends[side]}" for side, found in places.items()]
    return f"Cut by {criterion}, these curves bend: {'; '.join(said)}." if said else ""


def of_control(grid: Grid, criterion: str, beside: Mapping[str, WinCounts]) -> str:
    """Whether a criterion beats chance anywhere; nothing where they share no width."""
    if not beside:
        return ""
    higher = [_at(task, w.higher, w.of) for task, w in beside.items() if w.higher]
    lower = [_at(task, w.lower, w.of) for task, w in beside.items() if w.lower]
    if not describe_draws(grid).startswith("mean"):
        return _of_one_draw(criterion, higher, lower)
    better = [_at(task, w.better, w.of) for task, w in beside.items() if w.better]
    worse = [_at(task, w.worse, w.of) for task, w in beside.items() if w.worse]
    clauses = [f"better on {joined(better)}"] if better else []
    clauses += [f"worse on {joined(worse)}"] if worse else []
    said = joined(clauses) or "not shown to be better or worse on any task"
    alone = [f"better on {joined(higher)}"] if higher else []
    alone += [f"worse on {joined(lower)}"] if lower else []
    more = f" Where there is one draw alone, it scores {joined(alone)}." if alone else ""
    return f"Beside {control_draw_text(grid)}, {criterion} is {said}.{more}"


def _of_one_draw(criterion: str, higher: Sequence[str], lower: Sequence[str]) -> str:
    """A criterion beside the only draw of the control: of chance that says nothing."""
    draw = "than the one draw of neurons chosen by chance"
    clauses = [f"better {draw} on {joined(higher)}"] if higher else []
    clauses += [f"worse{'' if higher else ' ' + draw} on {joined(lower)}"] if lower else []
    said = f"scores {joined(clauses)}" if clauses else ""
    said = said or f"is not shown to score better or worse {draw} on any task"
    return f"{criterion} {said}; how far other draws are from it is not known."


def of_few(grid: Grid, curves: Sequence[WidthCurve], loss: float) -> str:
    """On which tasks there are too few items for a loss so small to be ruled out, and how large one
    must be; nothing where there are enough.

    That is the end of the interval of right and wrong answers of which none changed: where some
    did, it reaches further.
    """
    least: dict[tuple[int, str], dict[str, None]] = {}
    for curve in curves:
        record = grid.cells.get((grid.dense, curve.quantity)) if grid.dense else None
        if record is None or curve.unit != "accuracy" or not record.items:
            continue
        if curve.smallest is None or record.settings.get("until") is not None:
            continue
        _, reach = paired_share_interval(0, 0, len(record.items))
        if reach > loss:
            tasks = least.setdefault((len(record.items), f"{100 * reach:.1f} pp"), {})
            tasks[curve.quantity] = None
    if not least:
        return ""
    said = "; ".join(
        f"{n:,} items of {joined(list(tasks), most=13)} rule out only losses above {reach}"
        for (n, reach), tasks in least.items()
    )
    return (
        f"With so few items no loss can be shown to be within {100 * loss:g} pp: {said}, even "
        "where no answer changes."
    )


def _at(task: str, count: int, of: int) -> str:
    return f"{task} (at {count} of {of} widths)"


def of_fronts(fronts: Sequence[Front]) -> str:
    """Which networks are worth their bytes; nothing without sizes."""
    if not fronts:
        return ""
    front = fronts[0]
    on = [p for p in front.points if p.on_front]
    sure = [p.label for p in on if p.sure]
    quality = "mean score above the floors" if front.quality == MEAN else front.quality
    cost = quantity_text(front.cost)
    said = f"By {quality} against {cost}, {len(on)} of {len(front.points)} networks "
    said += "is on the " if len(on) == 1 else "are on the "
    said += "front, where no other one is as good and as cheap: "
    if not sure:
        return f"{said}none of them beyond doubt."
    left = "; of the others intervals leave it open" if len(sure) < len(on) else ""
    return f"{said}{joined(sure)} beyond doubt{left}."


def sentences_of(
    grid: Grid,
    others: Sequence[Grid],
    curves: Mapping[str, Sequence[WidthCurve]],
    beside: Mapping[str, Mapping[str, WinCounts]],
    fronts: Sequence[Front],
    loss: float,
) -> tuple[str, ...]:
    """All that is said of one model; curves and comparisons with chance by criterion.

    Among the others may be what it was cut from.
    """
    kin = kin_sentences(grid, others)
    said = [of_dense(grid), *kin]
    if not grid.criteria and not kin:
        said.append("No narrower network was measured, so there is nothing to compare.")
    for criterion, own in curves.items():
        if grid.dense is not None:
            said.append(of_curves(criterion, own))
            said.append(of_widths(criterion, own, loss))
            said.append(of_knees(criterion, own))
        if criterion in beside:
            said.append(of_control(grid, criterion, beside[criterion]))
    every = [curve for own in curves.values() for curve in own]
    said += [of_few(grid, every, loss), of_fronts(fronts)]
    return tuple(sentence for sentence in said if sentence)
