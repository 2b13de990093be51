"""What each score may be called, beside dense and beside the random control."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import RunError
from ..stats import (
    Difference,
    Estimate,
    Verdict,
    add_draw_variance,
    beats_floor,
    grouped,
    holm,
    is_perplexity,
    mean_with_error,
    paired_difference,
    sequential_difference,
    unpaired_difference,
    verdict,
)
from ..study import Record, is_control
from .floor_estimates import floor_of, shared_luck
from .grid import Grid, GridRow, estimate_of

CONFIDENCE = 0.95
_FEW = 0.2  # of the way from the floor to a perfect score


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One score beside another one.

    Attributes:
        word: By the rule of `stats.verdict`.
        difference: The score minus the other, over their items; None where they share none.
        p_value: Of the difference, adjusted by Holm's method over its family.
        could_tell: Whether there are items enough: if all of them had changed in one direction, p
            would be small enough. Otherwise `no change shown` says nothing.
        anytime: Whether interval and p-value hold wherever the measurement was stopped.
        one_draw: Whether one of the two is a single draw of the control. How far draws differ is
            not known then and in no interval, so that the word is never `improves` or `degrades`.
        is_loss: Whether the score is shown to be worse than the other one, and that one to beat its
            floor. Something is lost then, whether or not the score itself beats the floor.
    """

    word: Verdict
    difference: Difference | None
    p_value: float | None
    could_tell: bool = True
    anytime: bool = False
    one_draw: bool = False
    is_loss: bool = False


Comparisons = Mapping[tuple[GridRow, str], Comparison]
Compare = Callable[[Record, Record | None], Difference | None]


def paired(own: Record, other: Record | None) -> Difference | None:
    """The difference over the items of both; None where one of them has none.

    Perplexities are compared by their logarithms: of two that are a million times apart, the plain
    difference has an error as large as itself.
    """
    if other is None or not own.items or not other.items:
        return None
    own, other = log_ratio(own), log_ratio(other)
    compare = sequential_difference if _stops_early(own, other) else paired_difference
    return compare(own.items, other.items, confidence=CONFIDENCE)


def log_ratio(record: Record) -> Record:
    """A perplexity as its natural logarithm; items are shares of the score, linear in its logs."""
    if record.value is None or not is_perplexity(record.unit):
        return record
    value, error = record.value, record.standard_error
    if value <= 0:
        raise RunError(f"{record.quantity}: a perplexity must be above 0; got {value}")
    return replace(
        record,
        unit="nats",
        value=math.log(value),
        standard_error=None if error is None else error / value,
        items=tuple(math.log(value) + item / value - 1 for item in record.items),
    )


def paired_or_independent(own: Record, other: Record | None) -> Difference | None:
    """As `paired`, and also of records without items.

    Without items the scores are taken as independent (`stats.unpaired_difference`).
    """
    if other is None or own.items or other.items:
        return paired(own, other)
    first, second = estimate_of(log_ratio(own)), estimate_of(log_ratio(other))
    if first is None or second is None:
        return None
    return unpaired_difference(first, second, confidence=CONFIDENCE)


def compare_to_dense(
    grid: Grid, compare: Compare = paired, apart: Grid | None = None
) -> Comparisons:
    """Every pruned score beside the dense one; all of one quantity are one family of tests.

    Args:
        grid: What is judged.
        compare: How two records are compared.
        apart: The grid with each draw of the control by itself, where `grid` has their mean: how
            far they differ is then in interval and p-value.

    Raises:
        RunError: Two networks were measured on different numbers of items, and not because they
            were stopped early.
    """
    judged: dict[tuple[GridRow, str], Comparison] = {}
    for quantity in grid.quality:
        dense = grid.of_dense(quantity)
        cut = [n for n in grid.networks if n.criterion is not None and (n, quantity) in grid.cells]
        family = [(n, grid.cells[n, quantity], dense) for n in cut]
        draws = _draws_by_width(apart, quantity) if apart else {}
        judged |= judge_family(quantity, family, _with_draws(compare, draws))
    return judged


def _with_draws(
    compare: Compare, draws: Mapping[int, Sequence[float]], *, beside_one_more: bool = False
) -> Compare:
    """The comparison with how far draws of the control differ: of a control alone, or of any
    network beside one more draw."""

    def compare_drawn(own: Record, other: Record | None) -> Difference | None:
        difference = compare(own, other)
        luck = draws.get(own.width, ()) if beside_one_more or is_control(own.criterion) else ()
        return difference and add_draw_variance(
            difference, luck, confidence=CONFIDENCE, beside_one_more=beside_one_more
        )

    return compare_drawn


def compare_to_control(
    grid: Grid, criterion: str, control: str, compare: Compare = paired
) -> Comparisons:
    """Every score of a criterion beside the control's at the same width; families as above.

    Whichever of the two is the control stands for all of its draws: where there are several, for
    the mean of their scores, item by item. A criterion that chose no better than chance would be
    one more draw, so that interval and p-value hold how far one draw is from the mean of the
    others. Of a single draw that is not known: the difference is from that draw, and no word says
    that it is one from chance.
    """
    judged: dict[tuple[GridRow, str], Comparison] = {}
    for quantity in grid.quality:
        partners = by_width(grid, control, quantity)
        draws = _draws_by_width(grid, quantity)
        family = [
            (network, own, partners[width][1])
            for width, (network, own) in by_width(grid, criterion, quantity).items()
            if width in partners
            and own is not partners[width][1]
            and partners[width][1].value is not None
        ]
        compare_drawn = _with_draws(compare, draws, beside_one_more=True)
        has_luck = is_control(criterion) or is_control(control)
        judged |= {
            at: _of_one_draw(j) if has_luck and len(draws.get(at[0].width, ())) < 2 else j
            for at, j in judge_family(quantity, family, compare_drawn).items()
        }
    return judged


def _of_one_draw(judged: Comparison) -> Comparison:
    """The same without a word that would be one on chance."""
    at_floor = judged.word == "at the floor"
    word: Verdict = "at the floor" if at_floor else "no change shown"
    return replace(judged, word=word, one_draw=True, is_loss=False)


def describe_draws(grid: Grid) -> str:
    """How many draws of the control have a value: `mean of 3 draws`, of one what is not known."""
    counts = {len(values) for q in grid.quality for values in _draws_by_width(grid, q).values()}
    most = max(counts, default=1)
    if most == 1:
        return "one draw, whose luck is in no interval"
    return f"mean of {most} draws" if len(counts) == 1 else f"mean of up to {most} draws"


def _draws_by_width(grid: Grid, quantity: str) -> Mapping[int, Sequence[float]]:
    """Scores of all draws of the control at each width, over the items that all of them saw.

    Of perplexities they are logarithms.
    """
    by_width = grouped(
        (network.width, log_ratio(record))
        for network, record in grid.of_criteria(grid.draws, quantity)
        if record.value is not None
    )
    return {width: _on_shared_items(records) for width, records in by_width.items()}


def _on_shared_items(records: Sequence[Record]) -> list[float]:
    """Scores over the items that all records have, which are more where one stopped later."""
    seen = min(len(record.items) for record in records)
    if len({len(record.items) for record in records}) == 1 or not seen:
        return [record.value or 0.0 for record in records]
    return [sum(record.items[:seen]) / seen for record in records]


def by_width(grid: Grid, criterion: str, quantity: str) -> dict[int, tuple[GridRow, Record]]:
    """Of each width the criterion's network and record; of a control, the mean of all its draws."""
    draws = grid.draws if is_control(criterion) else (criterion,)
    groups = grouped((n.width, (n, record)) for n, record in grid.of_criteria(draws, quantity))
    return {
        width: (places[0][0], mean_of_draws([record for _, record in places]))
        for width, places in groups.items()
    }


def mean_of_draws(records: Sequence[Record]) -> Record:
    """What the draws of one network score on average, over the items that all of them saw.

    One draw stays as it is, and draws without a value count only if all are. Of perplexities it is
    the geometric mean, as they are compared by their logarithms. Without items the errors of the
    draws are taken as independent.

    Raises:
        RunError: A perplexity is not above 0.
    """
    valued = [record for record in records if record.value is not None]
    if len(valued) < 2:
        return (valued or list(records))[0]
    logs = [log_ratio(record) for record in valued]
    seen = min(len(record.items) for record in logs)
    columns = zip(*(record.items[:seen] for record in logs), strict=True)
    items = tuple(sum(column) / len(logs) for column in columns)
    mean = mean_with_error(items) if items else _independent_mean(logs)
    made = replace(
        logs[0],
        value=mean.value,
        standard_error=mean.standard_error,
        n=seen or mean.n,
        items=items,
        floor_items=logs[0].floor_items[:seen],
    )
    return _out_of_logarithms(made, valued[0].unit)


def _independent_mean(records: Sequence[Record]) -> Estimate:
    """Mean of scores without items."""
    count, errors = len(records), [record.standard_error for record in records]
    known = [error for error in errors if error is not None]
    return Estimate(
        value=sum(record.value or 0.0 for record in records) / count,
        standard_error=math.hypot(*known) / count if len(known) == count else None,
        n=min(record.n for record in records),
    )


def _out_of_logarithms(record: Record, unit: str) -> Record:
    """The reverse of `log_ratio`, for a perplexity; others stay as they are."""
    if record.value is None or not is_perplexity(unit):
        return record
    value, error = math.exp(record.value), record.standard_error
    return replace(
        record,
        unit=unit,
        value=value,
        standard_error=None if error is None else error * value,
        items=tuple(value * (item - record.value + 1) for item in record.items),
    )


def beats_its_floor(record: Record | None) -> bool:
    """Whether there is a floor, a value, and the interval of value minus floor is beyond 0."""
    return record is not None and _is_beyond(record, upwards=bool(record.higher_is_better))


def _is_beyond(record: Record, *, upwards: bool) -> bool:
    """Whether a score is shown to be higher than its floor, or lower."""
    score = estimate_of(record)
    if score is None or record.floor is None:
        return False
    return beats_floor(
        score,
        floor_of(record),
        higher_is_better=upwards,
        confidence=CONFIDENCE,
        correlation=shared_luck(record),
    )


def floor_status(record: Record) -> str:
    """`beats the floor`, `below the floor`, `too few items` or `at the floor`, of a score with one.

    Below it is a score that is shown to be worse. Too few items are those whose interval holds the
    floor and reaches more than a fifth of the way to a perfect score too: such a score may be a
    trivial answerer's or a good one.
    """
    score = estimate_of(record)
    if beats_its_floor(record):
        return "beats the floor"
    if score is None or record.floor is None:
        return "too few items"
    if _is_beyond(record, upwards=not record.higher_is_better):
        return "below the floor"
    low, high = score.interval(CONFIDENCE)
    reach, way = record.floor - low, record.floor  # towards a perfect score, and how far it is
    if record.higher_is_better:
        reach, way = high - record.floor, 1 - record.floor
    is_known = record.unit == "accuracy" or not record.higher_is_better  # what is perfect
    return "too few items" if is_known and reach > _FEW * way else "at the floor"


def is_above_floor(judged: Comparison) -> bool:
    """Whether the score has no floor, or beats it."""
    return judged.word != "at the floor"


def is_worse(judged: Comparison, higher_is_better: bool) -> bool:
    """Whether the difference is shown to be a loss, at the floor or above it."""
    difference = judged.difference
    if difference is None or judged.p_value is None or judged.p_value > 1 - CONFIDENCE:
        return False
    return difference.high < 0 if higher_is_better else difference.low > 0


def judge_family(
    quantity: str, family: Sequence[tuple[GridRow, Record, Record | None]], compare: Compare
) -> dict[tuple[GridRow, str], Comparison]:
    """What each score may be called beside its other one, p adjusted over all of them."""
    differences = {}
    for network, own, other in family:
        try:
            differences[network] = compare(own, other)
        except RunError as error:
            raise RunError(f"{quantity} of {network.label}: {error}") from error
    tested = {network: d.p_value for network, d in differences.items() if d is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    judged = {}
    for network, own, other in family:
        score, p_value, difference = estimate_of(own), adjusted.get(network), differences[network]
        if score is None or own.higher_is_better is None:
            continue
        word = verdict(
            difference,
            score=score,
            floor=floor_of(own),
            correlation=shared_luck(own),
            higher_is_better=own.higher_is_better,
            p_value=p_value,
            confidence=CONFIDENCE,
        )
        anytime = difference is not None and _stops_early(own, other)
        found = Comparison(
            word=word,
            difference=difference,
            p_value=p_value,
            could_tell=anytime or _could_tell(difference, len(tested)),
            anytime=anytime,
        )
        is_loss = is_worse(found, own.higher_is_better) and _has_something(other)
        judged[network, quantity] = replace(found, is_loss=is_loss)
    return judged


def _has_something(record: Record | None) -> bool:
    """Whether a score has no floor, or beats it: only then is there something to lose."""
    return record is not None and (record.floor is None or beats_its_floor(record))


def _could_tell(difference: Difference | None, family: int) -> bool:
    """Whether the smallest p-value that so many items can give would be small enough."""
    return difference is not None and family * 2.0 ** (1 - difference.n) <= 1 - CONFIDENCE


def _stops_early(own: Record, other: Record | None) -> bool:
    """Whether both were measured until certain enough, so that they may differ in length.

    Only shares of right answers are: other metrics have no bounds and take all items. The items of
    both come in the same random order, drawn for the task.
    """
    if other is None or own.unit != "accuracy":
        return False
    if None in (own.settings.get("until"), other.settings.get("until")):
        return False
    return all(0 <= item <= 1 for item in (*own.items, *other.items))
