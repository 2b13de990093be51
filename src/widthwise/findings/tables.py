"""Findings as text in rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stats import NOTHING, holm, interval_text, joined, number, p_text, with_ends
from ..study import CONTROL, is_control, quantity_text
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
    SmallestSufficientWidth,
    TaskCorrelation,
    WidthCurve,
)

_MOST_PAIRS = 12  # rows that a reader still looks through


def loss_text(loss: float) -> str:
    """`2 pp of right answers, 5 % of anything else`."""
    return f"{100 * loss:g} pp of right answers, {100 * RELATIVE_LOSS:g} % of anything else"


def curve_table(
    criterion: str, curves: Sequence[WidthCurve], loss: float, notes: Sequence[str]
) -> Table:
    """A task a row: what becomes of it down to the narrowest width; those at the floor last."""
    narrowest = min(p.expansion_ratio for curve in curves for p in curve.points)
    widest = max(p.expansion_ratio for curve in curves for p in curve.points)
    ordered = sorted(curves, key=lambda curve: curve.trend == "at the floor")
    return Table(
        title=f"Cut by {criterion}",
        about=f"Each task from {widest:.2f}x down to {narrowest:.2f}x.",
        header=(
            "task",
            "trend",
            "dense [95 %]",
            f"at {narrowest:.2f}x [95 %]",
            "floor",
            "above floor to",
            "within loss to",
            "as measured",
            "knee",
        ),
        rows=tuple(_curve_row(curve, narrowest) for curve in ordered),
        notes=(
            f"Within loss: the narrowest width such that it and all wider ones lose no more than "
            f"{loss_text(loss)}, by the whole 95 % interval, and stay above the floor; "
            "as measured: by the values alone.",
            "Knee: where the curve is farthest from the straight line between its ends, and in "
            "brackets where it is in 95 % of resamples; most is lost before it, or beyond it.",
            *notes,
        ),
    )


def _curve_row(curve: WidthCurve, narrowest: float) -> tuple[str, ...]:
    dense = next((p for p in curve.points if p.criterion is None), None)
    last = curve.points[-1]
    is_last = last.criterion is not None and last.expansion_ratio == narrowest
    floor = last.floor if dense is None else dense.floor
    return (
        curve.quantity,
        curve.trend,
        _value(dense, curve.unit) if dense else NOTHING,
        _value(last, curve.unit) if is_last else NOTHING,
        NOTHING if floor is None else number(floor, curve.unit),
        _above_floor_to(curve),
        *_smallest_cells(curve.smallest),
        _knee_cell(curve),
    )


def _value(point: CurvePoint, unit: str) -> str:
    return f"{number(point.value, unit)} {interval_text(point.low, point.high, unit)}".strip()


def _above_floor_to(curve: WidthCurve) -> str:
    """The narrowest network that is above the floor with all wider ones."""
    lowest = NOTHING
    for point in curve.points:
        if not point.above_floor:
            break
        lowest = ratio(point)
    return lowest


def ratio(point: CurvePoint) -> str:
    """The width alone: `"2.39x"`, or `"dense"`."""
    return point.label.rpartition(" ")[2]


def _smallest_cells(smallest: SmallestSufficientWidth | None) -> tuple[str, str]:
    if smallest is None:
        return NOTHING, NOTHING
    shown, measured = (
        ratio(point) if point.criterion else "none" for point in (smallest.shown, smallest.measured)
    )
    return shown, measured


def _knee_cell(curve: WidthCurve) -> str:
    knee = curve.knee
    if knee is None:
        return NOTHING
    side = "before" if knee.levels_off else "beyond"
    return f"{ratio(knee.point)} [{knee.low:.2f}x, {knee.high:.2f}x], most {side}"


_OF_ONE_DRAW = ("above one draw", "below one draw")


def control_table(grid: Grid, beside: Mapping[str, Mapping[str, WinCounts]]) -> Table | None:
    """At how many widths each criterion is shown to be better or worse than chance.

    None where it is nowhere.
    """
    rows, level = [], []
    for criterion, tasks in beside.items():
        for task, widths in tasks.items():
            counts = (widths.better, widths.worse, widths.higher, widths.lower)
            if any(counts):
                rows.append((task, criterion, *(str(n or NOTHING) for n in counts), str(widths.of)))
            else:
                level.append(task if len(beside) == 1 else f"{task} ({criterion})")
    if not rows:
        return None
    return Table(
        title="Beside chance",
        about="Widths at which a criterion is shown to be better or worse than "
        f"{control_draw_text(grid)}.",
        header=("task", "criterion", "better", "worse", *_OF_ONE_DRAW, "of"),
        rows=tuple(rows),
        notes=(
            "Better or worse: above the floor, by the paired interval and Holm's p, in which is "
            "how far draws of the control differ. Of one draw that is not known: what is above or "
            "below it says nothing of chance.",
            *([f"Neither anywhere: {', '.join(level)}."] if level else []),
        ),
    )


def control_draw_text(grid: Grid) -> str:
    """What the control is: `neurons chosen by chance (mean of 3 draws)`."""
    return f"neurons chosen by chance ({describe_draws(grid)})"


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
    "on: above the floor, and no other network is as good and as cheap; off: one is, or it is at "
    "the floor; with an exclamation mark, intervals carry it.",
)


def _cost_table(fronts: Sequence[Front]) -> Table:
    first = fronts[0]
    labels = _labels(fronts)
    rows = []
    for label, point in labels.items():
        cells = [_cost_cell(front, label) for front in fronts]
        score = f"{number(point.value, first.quality_unit)} "
        score += interval_text(point.low, point.high, first.quality_unit)
        rows.append((label, score.strip(), *cells))
    what = first.quality
    if what == MEAN:
        what = "the mean of (score - floor) / (1 - floor) over the tasks that dense knows"
    return Table(
        title="Quality against cost",
        about=f"Quality is {what}.",
        header=("network", f"{first.quality} [95 %]", *(_cost_name(front) for front in fronts)),
        rows=tuple(rows),
        notes=_FRONT,
    )


def _cost_name(front: Front) -> str:
    unit = _UNITS.get(front.unit)
    cost = quantity_text(front.cost)
    return f"{cost}, {unit}" if unit else cost


def _task_table(fronts: Sequence[Front]) -> Table:
    rows = []
    for label in _labels(fronts):
        cells = [next((p for p in f.points if p.label == label), None) for f in fronts]
        rows.append((label, *(NOTHING if p is None else _standing(p) for p in cells)))
    return Table(
        title=f"Tasks against {fronts[0].cost}",
        about="The front of each task that dense beats the floor on.",
        header=("network", *(front.quality for front in fronts)),
        rows=tuple(rows),
        notes=(),
    )


def _labels(fronts: Sequence[Front]) -> dict[str, FrontPoint]:
    """All networks, the dearest of the first front first."""
    points: dict[str, FrontPoint] = {}
    for front in fronts:
        for point in reversed(front.points):
            points.setdefault(point.label, point)
    return points


def _cost_cell(front: Front, label: str) -> str:
    point = next((p for p in front.points if p.label == label), None)
    return NOTHING if point is None else f"{number(point.cost, front.unit)} {_standing(point)}"


def _standing(point: FrontPoint) -> str:
    return ("on" if point.on_front else "off") + "!" * point.sure


PAIR_COLUMNS = ("tasks", "r [95 %]", "p (Holm)", "one left out", "without dense", "points")


def pair_table(pairs: Sequence[TaskCorrelation]) -> Table | None:
    """The strongest correlations among tasks that are above their floors, beside chance's.

    None where there are none.
    """
    chance = {(p.first, p.second): p for p in pairs if p.criterion == CONTROL}
    of_criteria = [p for p in pairs if not is_control(p.criterion)]
    of_criteria = of_criteria or list(pairs)
    sound = [p for p in of_criteria if not p.reading and p.correlation.pearson is not None]
    ranked = sorted(sound, key=lambda p: -abs(p.correlation.pearson or 0.0))
    adjusted = adjusted_by_place(ranked)
    shown = ranked[:_MOST_PAIRS]
    if not shown:
        return None
    notes = list(dict.fromkeys(p.correlation.warning for p in shown if p.correlation.warning))
    notes.append(
        "Points are widths of one model, not independent: two curves that fall go together by that."
    )
    notes += p_notes(shown, len(adjusted))
    if len(ranked) > len(shown):
        notes.append(f"The {len(shown)} strongest of {len(ranked)}; --json has all.")
    if len(of_criteria) > len(sound):
        left = len(of_criteria) - len(sound)
        notes.append(
            f"Left out: {left} pairs with a task that is never above its floor or never changes, "
            "so that its moves are noise; --json has them."
        )
    return Table(
        title="Tasks that move together",
        about="Correlation of two tasks over the widths, dense included.",
        header=(*PAIR_COLUMNS, "r by chance"),
        rows=tuple(
            _pair_row(p, adjusted.get(i), chance.get((p.first, p.second)))
            for i, p in enumerate(shown)
        ),
        notes=tuple(notes),
    )


def p_notes(shown: Sequence[TaskCorrelation], tested: int) -> list[str]:
    """Why some pairs have no p, and over how many the others are adjusted."""
    notes = []
    if any(pair.one_way for pair in shown):
        notes.append("No p where both only fall or only rise: that alone makes them correlate.")
    if tested > 1:
        notes.append(f"p is adjusted for all {tested} pairs that have one.")
    return notes


def adjusted_by_place(pairs: Sequence[TaskCorrelation]) -> dict[int, float]:
    """Holm's p of each pair among all, by its place; none of a pair that only goes one way."""
    known = {
        i: pair.correlation.p_value
        for i, pair in enumerate(pairs)
        if not pair.one_way and pair.correlation.p_value is not None
    }
    return dict(zip(known, holm(list(known.values())), strict=True))


def _pair_row(
    pair: TaskCorrelation, p_value: float | None, chance: TaskCorrelation | None
) -> tuple[str, ...]:
    by_chance = chance.correlation.pearson if chance and chance is not pair else None
    return (*pair_row(pair, p_value), _r(by_chance))


def pair_row(pair: TaskCorrelation, p_value: float | None) -> tuple[str, ...]:
    """The cells of `PAIR_COLUMNS`, with the adjusted p."""
    correlation = pair.correlation
    left = correlation.without_one
    return (
        f"{pair.first}, {pair.second}",
        NOTHING
        if correlation.pearson is None
        else with_ends(correlation.pearson, correlation.low, correlation.high, decimals=3),
        p_text(p_value),
        NOTHING if left is None else f"{left[0]:.2f} to {left[1]:.2f}",
        _r(pair.without_dense.pearson if pair.without_dense else None),
        str(correlation.n),
    )


def _r(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def missing_notes(grid: Grid) -> tuple[str, ...]:
    """Each reason for a missing score once, with the tasks that it concerns."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for (network, quantity), record in grid.cells.items():
        if record.reason is not None and quantity in grid.quality:
            reasons.setdefault(record.reason, {}).setdefault(quantity, []).append(network.label)
    return tuple(
        f"Missing, {reason}: "
        + "; ".join(f"{quantity} of {joined(labels)}" for quantity, labels in where.items())
        for reason, where in reasons.items()
    )
