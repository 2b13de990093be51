"""What findings are made of: curves, fronts, pairs of tasks, claims, tables and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stats import Correlation, Verdict
from .table import Table

Trend = Literal[
    "falls",
    "holds",
    "rises",
    "rises and falls",
    "no change shown",
    "at the floor",
    "cannot tell",
]

Outcome = Literal["supported", "contradicted", "not shown", "at the floor"]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One score of one network.

    Attributes:
        label: The network: `"dense"`, `"ppm 2.39x"`.
        criterion: How neurons were chosen; None for dense.
        expansion_ratio: width / hidden size, as got.
        width: Neurons a layer.
        value: The score, in the unit of its curve.
        low: Lower end of its 95 % interval; None where no error is known.
        high: Upper end; None where no error is known.
        floor: Score of the best trivial answerer; None where there is none.
        above_floor: Whether it is shown above its floor, by `beats_its_floor`.
        word: Verdict beside dense; None for dense itself and where nothing could be compared.
    """

    label: str
    criterion: str | None
    expansion_ratio: float
    width: int
    value: float
    low: float | None
    high: float | None
    floor: float | None
    above_floor: bool
    word: Verdict | None


@dataclass(frozen=True, kw_only=True)
class Knee:
    """Where a curve is farthest from the straight line between its two ends.

    Attributes:
        point: The network there.
        low: Smallest expansion ratio that the knee has in 95 % of the resamples.
        high: Largest one.
        levels_off: Whether most of the loss is before it, and less beyond; otherwise most of the
            loss is beyond.
    """

    point: CurvePoint
    low: float
    high: float
    levels_off: bool


@dataclass(frozen=True, kw_only=True)
class SmallestSufficientWidth:
    """The narrowest network whose loss beside dense is within the stated one.

    Attributes:
        shown: By intervals: of it and of all wider networks, the whole interval of the loss is
            within; dense itself where no narrower one is shown to be.
        measured: By the measured values alone, errors ignored.
    """

    shown: CurvePoint
    measured: CurvePoint


@dataclass(frozen=True, kw_only=True)
class WidthCurve:
    """One quantity of one model over widths, cut by one criterion.

    Attributes:
        model: Name of the dense parent.
        criterion: How neurons were chosen.
        quantity: The task.
        unit: Of the values: `"accuracy"`, `"bits_per_byte"` ...
        higher_is_better: Direction in which the values improve.
        trend: What may be said of it as the model is cut narrower, by the rule of
            `findings.curves.trend_of`.
        points: Dense first, then narrower and narrower; widths without a value are left out.
        knee: None where there are too few points or the data allow any place.
        smallest: None where dense is not shown above its floor, or no difference has an interval.
        loss: How much worse than dense may still be called a hold, in the unit of the values.
    """

    model: str
    criterion: str
    quantity: str
    unit: str
    higher_is_better: bool
    trend: Trend
    points: tuple[CurvePoint, ...]
    knee: Knee | None
    smallest: SmallestSufficientWidth | None
    loss: float

    @property
    def dense(self) -> CurvePoint | None:
        """The point of dense, where it has a value."""
        return next((point for point in self.points if point.criterion is None), None)

    def at(self, expansion_ratio: float) -> CurvePoint | None:
        """The point of the network that was cut to a ratio; None where it has no value."""
        cuts = (point for point in self.points if point.criterion is not None)
        return next((point for point in cuts if point.expansion_ratio == expansion_ratio), None)


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """One network: what it costs and what it scores.

    Attributes:
        label: The network.
        criterion: How neurons were chosen; None for dense.
        cost: In the unit of its front; less is better unless it is a throughput.
        cost_low: Lower end of the cost's 95 % interval; the cost itself if it is exact, None if
            its error is not known.
        cost_high: Upper end, likewise.
        value: The quality.
        low: Lower end of the quality's 95 % interval; None where no error is known.
        high: Upper end; None where no error is known.
        floor: Of the quality; None where there is none.
        on_front: Whether, by the measured values, it is above its floor and no other network is at
            least as good and at least as cheap, and one of both strictly.
        sure: Whether intervals carry that: of a point on the front, that it is above its floor and
            no other network could be as good and as cheap; of another, that one network is surely
            better and no dearer, or the floor surely better.
    """

    label: str
    criterion: str | None
    cost: float
    cost_low: float | None
    cost_high: float | None
    value: float
    low: float | None
    high: float | None
    floor: float | None
    on_front: bool
    sure: bool


@dataclass(frozen=True, kw_only=True)
class Front:
    """Quality against one cost.

    Attributes:
        model: Name of the dense parent.
        quality: A task, or `"mean above floors"`.
        cost: The quantity that is paid: `"bytes"`, `"512x32 tpot"` ...
        unit: Of the cost.
        quality_unit: Of the quality.
        lower_is_better: Whether less of the cost is better.
        points: Cheapest first.
    """

    model: str
    quality: str
    cost: str
    unit: str
    quality_unit: str
    lower_is_better: bool
    points: tuple[FrontPoint, ...]

    def at(self, label: str) -> FrontPoint | None:
        """The point of a network; None where it is not there."""
        return next((point for point in self.points if point.label == label), None)


@dataclass(frozen=True, kw_only=True)
class TaskCorrelation:
    """How two tasks move together over the widths of one criterion, dense included.

    r is of qualities: it is positive where both get better together, and a score of which lower is
    better is taken with its sign turned. Perplexities are correlated by their logarithms.

    Attributes:
        first: A task.
        second: Another one.
        criterion: How neurons were chosen.
        correlation: Over the networks that both were measured on, dense first.
        without_dense: The same without the dense network; None where too few are left.
        reading: What keeps the number from being a finding, in words; empty if nothing does.
        one_way: Whether both tasks only fall or only rise over these networks. They correlate by
            that alone, and the p-value, which takes the networks as independent, means nothing.
    """

    first: str
    second: str
    criterion: str
    correlation: Correlation
    without_dense: Correlation | None
    reading: str
    one_way: bool


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One number of a claim.

    Attributes:
        what: What it is of: `"ifeval, for each 10 % removed"`.
        value: In the unit of the items, or of correlations.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p_value: Two-sided, of the number that the claim is judged against; not adjusted.
    """

    what: str
    value: float
    low: float
    high: float
    p_value: float

    def away_from(self, mark: float, sign: int) -> bool:
        """Whether the whole interval is above a number (sign 1) or below it (-1)."""
        return self.low > mark if sign > 0 else self.high < mark


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One claim of the paper, tested on one model and criterion.

    Attributes:
        claim: In words.
        criterion: How neurons were chosen.
        effects: What was measured, each with its interval.
        p_value: Of the claim or of its reverse, whichever the numbers are for, adjusted over all
            claims of the criterion.
        outcome: `supported`, `contradicted`, `not shown`, or `at the floor`: no network is shown to
            beat a task's floor, so that the task measures nothing here.
        reason: What the outcome rests on, in words; "" where the numbers say it.
    """

    claim: str
    criterion: str
    effects: tuple[Effect, ...]
    p_value: float
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that is said of one model.

    Attributes:
        model: Name of the dense parent.
        curves: One a task and criterion, the control among them.
        fronts: One a quality and cost.
        correlations: Pairs of tasks.
        hypotheses: The paper's claims that can be decided, of each criterion that is no control.
        sentences: The answer in a few sentences, each carried by an interval.
        tables: The same and more as text.
    """

    model: str
    curves: tuple[WidthCurve, ...]
    fronts: tuple[Front, ...]
    correlations: tuple[TaskCorrelation, ...]
    hypotheses: tuple[Hypothesis, ...]
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
