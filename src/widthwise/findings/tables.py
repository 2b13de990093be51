"""Findings as text in rows and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from ..stats import (
    NOTHING,
    Correlation,
    fixed,
    grouped,
    holm,
    interval_text,
    joined,
    number,
    p_text,
    unit_text,
    with_ends,
)
from ..study import CONTROL, is_control, names_its_unit, quantity_text
from .comparisons import describe_draws
from .control import WinCounts
from .curves import RELATIVE_LOSS
from .grid import Grid
from .pareto import MEAN
from .table import Table
from .types import (
    CurvePoint,
    Front,
    FrontPoint,
    Knee,
    TaskCorrelation,
    WidthCurve,
)

_FALLS = "Falls and rises are of quality: where lower is better, the number rises as quality falls."
_MOST_PAIRS = 12  # rows that a reader still looks through


def loss_text(loss: float) -> str:
    """`2 pp of right answers, 5 % of anything else`."""
    return f"{100 * loss:g} pp of right answers, {100 * RELATIVE_LOSS:g} % of anything else"


def curve_table(
    criterion: str, curves: Sequence[WidthCurve], loss: float, notes: Sequence[str]
) -> Table:
    """A task a row: what becomes of it down to the narrowest width; those at the floor last."""
    ratios = [p.expansion_ratio for curve in curves for p in curve.points]
    narrowest = min(ratios)
    downwards = not all(curve.higher_is_better for curve in curves)
    return Table.of(
        sorted(curves, key=lambda curve: curve.trend == "at the floor"),
        {
            "task": lambda curve: curve.quantity,
            "unit": _unit,
            "trend": lambda curve: curve.trend,
            "dense [95 %]": lambda curve: _score(curve.dense, curve.unit),
            f"at {narrowest:.2f}x [95 %]": lambda curve: _score(curve.at(narrowest), curve.unit),
            "floor": lambda curve: _number((curve.dense or curve.points[-1]).floor, curve.unit),
            "better than floor to": _above_floor_to,
            "within loss to": lambda curve: _width(
                curve.smallest.shown if curve.smallest else None
            ),
            "as measured": lambda curve: _width(
                curve.smallest.measured if curve.smallest else None
            ),
            "knee": lambda curve: _knee_text(curve.knee),
        },
        title=f"Cut by {criterion}",
        about=f"Each task from {max(ratios):.2f}x down to {narrowest:.2f}x.",
        notes=(
            f"Within loss: the narrowest width such that it and all wider ones lose no more than "
            f"{loss_text(loss)}, by the whole 95 % interval, and stay better than the floor; "
            "as measured: by the values alone.",
            "Knee: where the curve is farthest from the straight line between its ends, and in "
            "brackets where it is in 95 % of resamples; most is lost before it, or beyond it.",
            *([_FALLS] if downwards else []),
            *notes,
        ),
    )


def _unit(curve: WidthCurve) -> str:
    """`accuracy`, `bits per byte, lower is better`."""
    unit = unit_text(curve.unit)
    return unit if curve.higher_is_better else f"{unit}, lower is better"


def _number(value: float | None, unit: str) -> str:
    return NOTHING if value is None else number(value, unit)


def _score(point: CurvePoint | FrontPoint | None, unit: str) -> str:
    return NOTHING if point is None else score_text(point, unit)


def score_text(point: CurvePoint | FrontPoint, unit: str) -> str:
    """The score with its interval, if it has one: `0.412 [0.364, 0.460]`."""
    return f"{number(point.value, unit)} {interval_text(point.low, point.high, unit)}".strip()


def _above_floor_to(curve: WidthCurve) -> str:
    """The narrowest network that is better than the floor with all wider ones."""
    above = list(takewhile(lambda point: point.above_floor, curve.points))
    return ratio(above[-1]) if above else NOTHING


def ratio(point: CurvePoint) -> str:
    """The width alone: `"2.39x"`, or `"dense"`."""
    return point.label.rpartition(" ")[2]


def _width(point: CurvePoint | None) -> str:
    """The width of a network within the loss; "none" where that is dense alone."""
    if point is None:
        return NOTHING
    return ratio(point) if point.criterion else "none"


def _knee_text(knee: Knee | None) -> str:
    if knee is None:
        return NOTHING
    side = "before" if knee.levels_off else "beyond"
    return f"{ratio(knee.point)} [{knee.low:.2f}x, {knee.high:.2f}x], most {side}"


class _Beside(NamedTuple):
    """A task and a criterion beside chance."""

    task: str
    criterion: str
    wins: WinCounts


def control_table(grid: Grid, beside: Mapping[str, Mapping[str, WinCounts]]) -> Table | None:
    """At how many widths each criterion is shown to be better or worse than chance.

    None where it is nowhere.
    """
    every = [_Beside(task, name, w) for name, tasks in beside.items() for task, w in tasks.items()]
    shown = [row for row in every if row.wins.any]
    level = [
        row.task if len(beside) == 1 else f"{row.task} ({row.criterion})"
        for row in every
        if not row.wins.any
    ]
    if not shown:
        return None
    return Table.of(
        shown,
        {
            "task": lambda row: row.task,
            "criterion": lambda row: row.criterion,
            "better": lambda row: f"{row.wins.better or NOTHING}",
            "worse": lambda row: f"{row.wins.worse or NOTHING}",
            "better than one draw": lambda row: f"{row.wins.higher or NOTHING}",
            "worse than one draw": lambda row: f"{row.wins.lower or NOTHING}",
            "of": lambda row: f"{row.wins.of}",
        },
        title="Beside chance",
        about="Widths at which a criterion is shown to be better or worse than neurons chosen by "
        f"chance ({describe_draws(grid)}).",
        notes=(
            "Better or worse: the better of the two beats the floor, and is better by the paired "
            "interval and Holm's p, in which is how far draws of the control differ. Of one draw "
            "that is not known: to be better or worse than it says nothing of chance.",
            *([f"Neither anywhere: {', '.join(level)}."] if level else []),
        ),
    )


def front_tables(fronts: Sequence[Front]) -> tuple[Table, ...]:
    """One for the costs, with the mean or else the first task; one for the tasks, against bytes."""
    if not fronts:
        return ()
    quality = fronts[0].quality
    tables = [_cost_table([front for front in fronts if front.quality == quality])]
    tasks = [f for f in fronts if f.cost == fronts[0].cost and f.quality != MEAN]
    if len(tasks) > 1:
        tables.append(_task_table(tasks))
    return tuple(tables)


_UNITS = {"tokens_per_sec": "tokens/s", "joules_per_token": "J/token"}
_FRONT = (
    "on: better than the floor, and no other network is as good and as cheap; off: one is, or it "
    "is at the floor; with an exclamation mark, intervals carry it.",
)


def _cost_table(fronts: Sequence[Front]) -> Table:
    first = fronts[0]
    what = f"{first.quality} ({unit_text(first.quality_unit)})"
    if first.quality == MEAN:
        what = "the mean of (score - floor) / (1 - floor) over the tasks that dense knows"
    return Table.of(
        _points(fronts),
        {
            "network": lambda point: point.label,
            f"{first.quality} [95 %]": lambda point: score_text(point, first.quality_unit),
            **{_cost_name(front): partial(_cost_cell, front) for front in fronts},
        },
        title="Quality against cost",
        about=f"Quality is {what}.",
        notes=_FRONT,
    )


def _cost_name(front: Front) -> str:
    unit = None if names_its_unit(front.cost) else _UNITS.get(front.unit)
    cost = quantity_text(front.cost)
    return f"{cost}, {unit}" if unit else cost


def _task_table(fronts: Sequence[Front]) -> Table:
    return Table.of(
        _points(fronts),
        {
            "network": lambda point: point.label,
            **{front.quality: partial(_standing_cell, front) for front in fronts},
        },
        title=f"Tasks against {fronts[0].cost}",
        about="The front of each task that dense beats the floor on.",
    )


def _points(fronts: Sequence[Front]) -> Iterable[FrontPoint]:
    """A point of every network, the dearest of the first front first."""
    points: dict[str, FrontPoint] = {}
    for front in fronts:
        for point in reversed(front.points):
            points.setdefault(point.label, point)
    return points.values()


def _cost_cell(front: Front, network: FrontPoint) -> str:
    point = front.at(network.label)
    return f"{number(point.cost, front.unit)} {_standing(point)}" if point else NOTHING


def _standing_cell(front: Front, network: FrontPoint) -> str:
    point = front.at(network.label)
    return _standing(point) if point else NOTHING


def _standing(point: FrontPoint) -> str:
    return ("on" if point.on_front else "off") + "!" * point.sure


class TestedPair(NamedTuple):
    """A correlation with Holm's p over all of its table; None of a pair that only goes one way."""

    pair: TaskCorrelation
    p_value: float | None


PAIR_COLUMNS: Mapping[str, Callable[[TestedPair], str]] = {
    "tasks": lambda tested: f"{tested.pair.first}, {tested.pair.second}",
    "r [95 %]": lambda tested: _pearson(tested.pair.correlation),
    "p (Holm)": lambda tested: p_text(tested.p_value),
    "one left out": lambda tested: _range(tested.pair.correlation.without_one),
    "without dense": lambda tested: _r(tested.pair.without_dense),
    "points": lambda tested: str(tested.pair.correlation.n),
}


def pair_table(pairs: Sequence[TaskCorrelation]) -> Table | None:
    """The strongest correlations among tasks that are above their floors, beside chance's.

    None where there are none.
    """
    chance = {(p.first, p.second): p for p in pairs if p.criterion == CONTROL}
    of_criteria = [p for p in pairs if not is_control(p.criterion)]
    of_criteria = of_criteria or list(pairs)
    sound = [p for p in of_criteria if not p.reading and p.correlation.pearson is not None]
    ranked = tested_pairs(sorted(sound, key=lambda p: -abs(p.correlation.pearson or 0.0)))
    shown = ranked[:_MOST_PAIRS]
    if not shown:
        return None

    def by_chance(tested: TestedPair) -> str:
        other = chance.get((tested.pair.first, tested.pair.second))
        return _r(other.correlation if other and other is not tested.pair else None)

    notes = warnings_of(shown)
    notes.append(
        "Points are widths of one model, not independent: two curves that fall go together by that."
    )
    notes += p_notes(shown, ranked)
    if len(ranked) > len(shown):
        notes.append(f"The {len(shown)} strongest of {len(ranked)}; --json has all.")
    if len(of_criteria) > len(sound):
        left = len(of_criteria) - len(sound)
        notes.append(
            f"Left out: {left} pairs with a task that never beats its floor or never changes, "
            "so that its moves are noise; --json has them."
        )
    return Table.of(
        shown,
        {**PAIR_COLUMNS, "r by chance": by_chance},
        title="Tasks that move together",
        about="Correlation of two tasks over the widths, dense included; positive where both get "
        "better together, whichever direction of a score is the better one.",
        notes=notes,
    )


def warnings_of(shown: Sequence[TestedPair]) -> list[str]:
    """What the correlations themselves warn of, each once."""
    warnings = (tested.pair.correlation.warning for tested in shown)
    return list(dict.fromkeys(filter(None, warnings)))


def p_notes(shown: Sequence[TestedPair], every: Sequence[TestedPair]) -> list[str]:
    """Why some pairs have no p, and over how many the others are adjusted."""
    notes = []
    if any(tested.pair.one_way for tested in shown):
        notes.append("No p where both only fall or only rise: that alone makes them correlate.")
    count = sum(tested.p_value is not None for tested in every)
    if count > 1:
        notes.append(f"p is adjusted for all {count} pairs that have one.")
    return notes


def tested_pairs(pairs: Sequence[TaskCorrelation]) -> list[TestedPair]:
    """All of them, their p adjusted over those that have one."""
    values = [None if pair.one_way else pair.correlation.p_value for pair in pairs]
    adjusted = iter(holm([value for value in values if value is not None]))
    return [
        TestedPair(pair, None if value is None else next(adjusted))
        for pair, value in zip(pairs, values, strict=True)
    ]


def _pearson(found: Correlation) -> str:
    if found.pearson is None:
        return NOTHING
    return with_ends(found.pearson, found.low, found.high, decimals=3)


def _range(ends: tuple[float, float] | None) -> str:
    return NOTHING if ends is None else " to ".join(map(fixed, ends))


def _r(found: Correlation | None) -> str:
    return NOTHING if found is None or found.pearson is None else fixed(found.pearson, 3)


def missing_notes(grid: Grid) -> tuple[str, ...]:
    """Each reason for a missing score once, with the tasks that it concerns."""
    reasons = grouped(
        (record.reason, (quantity, network.label))
        for (network, quantity), record in grid.cells.items()
        if record.reason is not None and quantity in grid.quality
    )
    return tuple(
        f"Missing, {reason}: "
        + "; ".join(f"{quantity} of {joined(labels)}" for quantity, labels in grouped(at).items())
        for reason, at in reasons.items()
    )
