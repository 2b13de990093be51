"""Claims about scores, beside floors and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...stats import interval_text, joined, p_text
from ...study import Record
from ..comparisons import Comparisons, beats_its_floor, compare_to_dense, paired_or_independent
from ..correlations import task_correlation
from ..curves import curves_of
from ..grid import Grid, GridRow, build_grid, estimate_of
from ..types import TaskCorrelation, WidthCurve
from .tables import MODELS, Claim, change

_NAMES = {"ifeval": "IFEval", "truthfulqa_mc2": "TruthfulQA-MC2", "boolq": "BoolQ", "mmlu": "MMLU"}


@dataclass(frozen=True, kw_only=True)
class Model:
    """The published scores of one model.

    Attributes:
        name: As in the tables: `"1B"`.
        grid: Its records.
        judged: Every score beside dense, unpaired.
        curves: By task.
    """

    name: str
    grid: Grid
    judged: Comparisons
    curves: dict[str, WidthCurve]

    def network(self, percent: int) -> GridRow:
        """The network of which so many per cent are removed."""
        asked = f"{percent}%" if percent else "dense"
        return next(n for n in self.grid.networks if n.asked == asked)

    def at(self, task: str, percent: int) -> Record:
        return self.grid.cells[self.network(percent), task]


def model_of(name: str, records: Sequence[Record]) -> Model:
    grid = build_grid([record for record in records if record.model == MODELS[name]])
    judged = compare_to_dense(grid, paired_or_independent)
    curves = {curve.quantity: curve for curve in curves_of(grid, judged)}
    return Model(name=name, grid=grid, judged=judged, curves=curves)


CHANGE_COLUMNS = (
    "score",
    "change",
    "dense [95 %]",
    "there [95 %]",
    "difference [95 %]",
    "p (Holm)",
    "floor",
    "word",
)


def changed(model: Model, task: str, percent: int) -> tuple[str, ...]:
    """A row of `CHANGE_COLUMNS`: a task at one width, beside dense and beside its floor."""
    network = model.network(percent)
    judged, floor = model.judged[network, task], model.at(task, 0).floor
    difference = judged.difference
    assert difference is not None
    assert floor is not None
    ends = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    return (
        f"{model.name} {_NAMES[task]} at {network.ratio}",
        change_at(model, task, percent),
        _with_interval(model.at(task, 0)),
        _with_interval(model.at(task, percent)),
        f"{difference.value:+.3f} {ends}",
        p_text(judged.p_value),
        f"{floor:.3f}",
        judged.word,
    )


def _with_interval(record: Record) -> str:
    score = estimate_of(record)
    assert score is not None
    return f"{score.value:.3f} {interval_text(*score.interval(), record.unit)}"


def monotone(model: Model, task: str) -> Claim:
    """Falls step by step, so nowhere may it rise."""
    points = model.curves[task].points
    lowest = min(points, key=lambda point: point.value)
    last = points[-1]
    assert lowest.high is not None
    assert last.low is not None
    rises = [
        f"{after.expansion_ratio:.2f}x"
        for before, after in pairwise(points)
        if after.value > before.value
    ]
    above = [n.label for n in model.grid.networks if beats_its_floor(model.grid.cells[n, task])]
    text = f"above the floor are {joined(above)}" if above else "none is shown above the floor"
    if lowest is not last:
        apart = "do not overlap" if lowest.high < last.low else "overlap"
        text += (
            f"; lowest at {lowest.expansion_ratio:.2f}x ({lowest.value:.4f}), higher at "
            f"{last.expansion_ratio:.2f}x ({last.value:.4f}): intervals {apart}"
        )
    return Claim(
        claim=f"{model.name} {_NAMES[task]} degrades monotonically",
        value=f"goes up at {joined(rises)}" if rises else "goes down at every step",
        beside=text,
    )


def correlation_with_mc2(model: Model, task: str) -> TaskCorrelation:
    """Of a task with TruthfulQA-MC2 over the widths of a model."""
    pair = task_correlation(model.grid, model.curves[task], model.curves["truthfulqa_mc2"])
    assert pair is not None  # seven widths, or four
    return pair


def change_at(model: Model, task: str, percent: int) -> str:
    """Relative change beside dense, as `+46 %`."""
    dense, cut = model.at(task, 0).value, model.at(task, percent).value
    assert dense
    assert cut is not None
    return change(cut / dense)
