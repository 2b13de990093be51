"""What a reader asks first: how far the best criterion may cut, and what that saves."""

from __future__ import annotations

from collections.abc import Sequence

from ..stats import percent
from .costs import size_ratio
from .curve_prose import width_sentence
from .curves import SHARE_LOSS
from .distances import compared_text, next_words
from .grid import Grid
from .types import WidthCurve


def closest_criterion(grid: Grid) -> str | None:
    """The criterion, no control, whose widest cut is nearest to dense by KL; the first one where
    nothing was compared. None where nothing was cut."""
    quantity = compared_text(grid)
    distances = {}
    for criterion in grid.chosen:
        networks = grid.cut_by(criterion)
        record = grid.cells.get((networks[0], quantity)) if networks and quantity else None
        words = None if record is None else next_words(record)
        if words is not None:
            distances[criterion] = words.divergence.value
    if distances:
        return min(distances, key=lambda criterion: distances[criterion])
    return next(iter(grid.chosen), None)


def decision_sentences(
    grid: Grid, curves: Sequence[WidthCurve], loss: float = SHARE_LOSS
) -> list[str]:
    """How far the closest criterion is shown to be within a loss, and what its widest cut saves.

    Args:
        grid: Of one model with cuts; none of a model as it is.
        curves: Its curves.
        loss: As of `build_findings`, for which the curves were made.
    """
    criterion = closest_criterion(grid)
    if criterion is None:
        return []
    own = [curve for curve in curves if curve.criterion == criterion]
    texts = [width_sentence(criterion, own, loss)]
    widest = grid.cut_by(criterion)[0]
    if (share := size_ratio(grid, widest)) is not None:
        texts.append(
            f"The widest cut that was measured, {widest.ratio}, saves {percent(1 - share)} of the "
            "bytes."
        )
    return [text for text in texts if text]
