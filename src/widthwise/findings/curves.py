"""What becomes of each task as a model is cut narrower."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..stats import Difference, is_perplexity
from ..study import Record
from .comparisons import (
    CONFIDENCE,
    Comparison,
    Comparisons,
    beats_its_floor,
    floor_status,
    is_worse,
)
from .grid import Grid, GridRow, estimate_of
from .knee import knee_of
from .score_vector import ScoreVector, score_vector, tasks_of
from .types import CurvePoint, SmallestSufficientWidth, Trend, WidthCurve

SHARE_LOSS = 0.02  # of shares of right answers: two points of a hundred
RELATIVE_LOSS = 0.05  # of everything else: of the dense value


def curves_of(grid: Grid, judged: Comparisons, loss: float = SHARE_LOSS) -> tuple[WidthCurve, ...]:
    """A curve for each task and criterion with a score that can be put beside dense or alone.

    Args:
        grid: All records of one model.
        judged: Of every score beside dense.
        loss: Allowed loss of shares of right answers; of other units it is 5 % of dense.
    """
    result = []
    for quantity in tasks_of(grid):
        column = score_vector(grid, quantity)
        for criterion in grid.criteria:
            networks = [n for n, _ in grid.of_criteria([criterion], quantity)]
            if any(n in column.networks for n in networks):
                result.append(_curve(grid, judged, quantity, networks, column, loss))
    return tuple(result)


def trend_of(
    dense: Record | None, judged: Sequence[Comparison], lost: Sequence[Difference | None]
) -> Trend:
    """The one word for a curve; the first rule that holds decides.

    1. `cannot tell`: there is no dense score, no network can be put beside it, or there are too
       few items for any difference to be shown.
    2. `at the floor`: dense is not shown above its floor, and no narrower network is shown to be
       both above the floor and better than dense: there was nothing to lose. Where dense has too
       few items to tell (`floor_status`), that is `cannot tell`.
    3. `holds`: at every width the whole interval of the loss is within the allowed loss, in both
       directions. (Every width must pass, so each may be tested at the full level.)
    4. `falls`: at some width worse than dense, by the interval of the difference and Holm's p over
       all networks of the task, and at none better. `rises`: better at some width, and also above
       its floor, and at none worse. `rises and falls`: each at some width.
    5. `no change shown`: anything else. That is no proof that nothing changed.
    """
    if dense is None or dense.value is None or not any(j.could_tell for j in judged):
        return "cannot tell"
    rises = any(j.word == "improves" for j in judged)
    if dense.floor is not None and not beats_its_floor(dense) and not rises:
        return "cannot tell" if floor_status(dense) == "too few items" else "at the floor"
    if lost and all(end is not None and end.high <= 1 and end.low >= -1 for end in lost):
        return "holds"
    falls = any(is_worse(j, bool(dense.higher_is_better)) for j in judged)
    if falls:
        return "rises and falls" if rises else "falls"
    return "rises" if rises else "no change shown"


def _curve(
    grid: Grid,
    judged: Comparisons,
    quantity: str,
    networks: Sequence[GridRow],
    column: ScoreVector,
    loss: float,
) -> WidthCurve:
    """Of one task and one criterion, whose networks come widest first."""
    dense = grid.of_dense(quantity)
    sample = grid.sample(quantity)
    shown = ([grid.dense] if grid.dense else []) + list(networks)
    part = column.only(shown)
    allowed = margin(dense, loss) if dense else loss
    words = {n: judged[n, quantity] for n in part.networks if (n, quantity) in judged}
    lost = {n: relative_loss(dense, words.get(n), allowed) for n in networks}
    measured = [lost[n] for n in networks if n in part.networks]
    trend = trend_of(dense, list(words.values()), measured)
    points = [_point(n, grid.cells[n, quantity], words.get(n)) for n in part.networks]
    is_bent = trend in ("falls", "rises", "rises and falls")
    by_network = dict(zip(part.networks, points, strict=True))
    criterion = networks[0].criterion
    assert criterion is not None  # only networks that were cut
    return WidthCurve(
        model=grid.model,
        criterion=criterion,
        quantity=quantity,
        unit=sample.unit,
        higher_is_better=bool(sample.higher_is_better),
        trend=trend,
        points=tuple(points),
        knee=knee_of(points, part) if is_bent else None,
        smallest=_smallest(grid, quantity, by_network, lost),
        loss=allowed,
    )


def _point(network: GridRow, record: Record, judged: Comparison | None) -> CurvePoint:
    assert record.value is not None  # the column holds networks with a value only
    low, high = interval_of(record)
    return CurvePoint(
        label=network.label,
        criterion=network.criterion,
        expansion_ratio=network.expansion_ratio,
        width=network.width,
        value=record.value,
        low=low,
        high=high,
        floor=record.floor,
        above_floor=beats_its_floor(record),
        word=judged.word if judged and judged.difference else None,
    )


def interval_of(record: Record) -> tuple[float | None, float | None]:
    """The 95 % interval of `estimate_of`; none where no error is known, or it has no end."""
    score = estimate_of(record)
    if score is None or score.standard_error is None:
        return None, None
    low, high = score.interval(CONFIDENCE)
    return (low, high) if math.isfinite(high) else (None, None)


def _smallest(
    grid: Grid,
    quantity: str,
    points: dict[GridRow, CurvePoint],
    lost: dict[GridRow, Difference | None],
) -> SmallestSufficientWidth | None:
    """Down from dense, width by width, as far as the loss is within; so no p needs adjusting."""
    dense = grid.of_dense(quantity)
    if grid.dense not in points or dense is None or not any(lost.values()):
        return None
    if dense.floor is not None and not beats_its_floor(dense):
        return None
    shown = measured = points[grid.dense]
    is_open = True
    for network, interval in lost.items():
        if interval is None or interval.value > 1:
            break
        record = grid.cells[network, quantity]
        is_known = record.floor is None or beats_its_floor(record)
        is_open = is_open and interval.high <= 1 and is_known
        measured = points[network]
        shown = measured if is_open else shown
    return SmallestSufficientWidth(shown=shown, measured=measured)


def margin(dense: Record, loss: float) -> float:
    """The loss that is allowed, in the unit of the task."""
    if dense.unit == "accuracy" or dense.value is None:
        return loss
    return RELATIVE_LOSS * abs(dense.value)


def relative_loss(
    dense: Record | None, judged: Comparison | None, allowed: float
) -> Difference | None:
    """How much worse than dense a network is, over the loss that is allowed: within up to 1.

    None where the difference has no interval.
    """
    difference = judged.difference if judged else None
    if dense is None or judged is None or difference is None or not allowed:
        return None
    if is_perplexity(dense.unit):
        allowed = math.log1p(RELATIVE_LOSS)  # the difference is one of logarithms
    value, low, high = difference.value, difference.low, difference.high
    if dense.higher_is_better:
        value, low, high = -value, -high, -low
    return replace(difference, value=value / allowed, low=low / allowed, high=high / allowed)
