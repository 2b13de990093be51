"""What curves and fronts say, in sentences that are carried by intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stats import grouped, joined, paired_share_interval
from ..study import quantity_text
from .control import WinCounts
from .descent import kin_sentences
from .grid import Grid
from .pareto import MEAN
from .prose import control_sentence, dense_sentence
from .tables import loss_text, ratio
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


def trend_sentence(criterion: str, curves: Sequence[WidthCurve]) -> str:
    """What falls, holds and rises, at some width measured."""
    groups = grouped((_group(curve), curve.quantity) for curve in curves)
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


def width_sentence(criterion: str, curves: Sequence[WidthCurve], loss: float) -> str:
    """How far each task may be cut; nothing where no task has anything to lose."""
    groups = grouped((ratio(c.smallest.shown), c.quantity) for c in curves if c.smallest)
    if not groups:
        return ""
    within = f"shown to keep within a loss of {loss_text(loss)}"
    dense = groups.pop("dense", [])
    if not groups:
        return f"Of the widths cut by {criterion}, none is {within}."
    text = "; ".join(f"down to {width} on {joined(tasks)}" for width, tasks in groups.items())
    rest = f"; on {joined(dense)} no width is" if dense else ""
    return f"Cut by {criterion}, a network is {within}: {text}{rest}."


def knee_sentence(criterion: str, curves: Sequence[WidthCurve]) -> str:
    """Where curves bend; nothing where none is shown to."""
    places = grouped(
        (
            knee.levels_off,
            f"{curve.quantity} at {ratio(knee.point)}"
            + f" ({knee.low:.2f}x to {knee.high:.2f}x)" * (knee.low < knee.high),
        )
        for curve in curves
        if (knee := curve.knee)
    )
    ends = {True: "with most lost before", False: "with most lost beyond"}
    texts = [f"{joined(tasks)}, {ends[side]}" for side, tasks in places.items()]
    return f"Cut by {criterion}, these curves bend: {'; '.join(texts)}." if texts else ""


def too_few_sentence(grid: Grid, curves: Sequence[WidthCurve], loss: float) -> str:
    """On which tasks there are too few items for a loss so small to be ruled out, and how large one
    must be; nothing where there are enough.

    That is the end of the interval of right and wrong answers of which none changed: where some
    did, it reaches further.
    """
    short: dict[str, int] = {}
    for curve in curves:
        record = grid.of_dense(curve.quantity)
        if record is None or curve.unit != "accuracy" or not record.items:
            continue
        if curve.smallest is None or record.settings.get("until") is not None:
            continue
        if _reach(len(record.items)) > loss:
            short[curve.quantity] = len(record.items)
    if not short:
        return ""
    text = "; ".join(
        f"{n:,} items of {joined(tasks, most=13)} rule out only losses above "
        f"{100 * _reach(n):.1f} pp"
        for n, tasks in grouped((n, task) for task, n in short.items()).items()
    )
    return (
        f"With so few items no loss can be shown to be within {100 * loss:g} pp: {text}, even "
        "where no answer changes."
    )


def _reach(n: int) -> float:
    """How large a loss the interval of n right and wrong answers holds if none changed."""
    return paired_share_interval(0, 0, n)[1]


def front_sentence(fronts: Sequence[Front]) -> str:
    """Which networks are worth their bytes; nothing without sizes."""
    if not fronts:
        return ""
    front = fronts[0]
    on = [p for p in front.points if p.on_front]
    sure = [p.label for p in on if p.sure]
    quality = "mean score above the floors" if front.quality == MEAN else front.quality
    cost = quantity_text(front.cost)
    text = f"By {quality} against {cost}, {len(on)} of {len(front.points)} networks "
    text += "is on the " if len(on) == 1 else "are on the "
    text += "front, where no other one is as good and as cheap: "
    if not sure:
        return f"{text}none of them beyond doubt."
    left = "; of the others intervals leave it open" if len(sure) < len(on) else ""
    return f"{text}{joined(sure)} beyond doubt{left}."


def findings_sentences(
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
    texts = [dense_sentence(grid), *kin]
    if not grid.criteria and not kin:
        texts.append("No narrower network was measured, so there is nothing to compare.")
    for criterion, of_criterion in curves.items():
        if grid.dense is not None:
            texts.append(trend_sentence(criterion, of_criterion))
            texts.append(width_sentence(criterion, of_criterion, loss))
            texts.append(knee_sentence(criterion, of_criterion))
        if criterion in beside:
            texts.append(control_sentence(grid, criterion, beside[criterion]))
    every = [curve for of_criterion in curves.values() for curve in of_criterion]
    texts += [too_few_sentence(grid, every, loss), front_sentence(fronts)]
    return tuple(sentence for sentence in texts if sentence)
