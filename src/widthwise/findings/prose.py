"""The author of what is said of scores: every sentence is carried by intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from ..stats import capital, change_text, grouped, joined, number, unit_text
from ..study import CONTROL, Record
from .comparisons import (
    Comparisons,
    beats_its_floor,
    compare_to_dense,
    describe_draws,
    floor_status,
)
from .control import WinCounts, wins_over_control
from .descent import kin_sentences
from .distances import distance_sentence
from .grid import Grid, GridRow, build_grid


def answer(records: Sequence[Record], others: Sequence[Grid] = ()) -> list[str]:
    """What dense knows, what each cut does to it, and whether the criterion beats the control.

    Args:
        records: Of one model.
        others: As for `answer_sentences`.

    Raises:
        RunError: As `build_grid`.
    """
    grid = build_grid(records)
    return answer_sentences(grid, compare_to_dense(grid), others=others)


def answer_sentences(
    grid: Grid,
    judged: Comparisons,
    apart: Grid | None = None,
    others: Sequence[Grid] = (),
) -> list[str]:
    """The answer from records that are arranged and judged already; it always says something.

    Args:
        grid: The records that the sentences are about.
        judged: It beside dense.
        apart: The same with each draw of the control by itself, where the grid has their mean.
        others: What else is at hand, among it perhaps the parent of a network that was cut before.
    """
    texts = [distance_sentence(grid), dense_sentence(grid), *kin_sentences(grid, others)]
    for criterion in grid.criteria:
        if criterion != CONTROL or len(grid.criteria) == 1:
            texts.append(_cut_sentence(grid, judged, criterion))
    if CONTROL in grid.criteria:
        draws = apart or grid
        texts += [
            control_sentence(draws, criterion, wins_over_control(draws, criterion))
            for criterion in grid.criteria
            if criterion != CONTROL
        ]
    return [sentence for sentence in texts if sentence]


def dense_sentence(grid: Grid) -> str:
    """Which tasks the whole network knows something of."""
    if grid.dense is None:
        return f"Dense {grid.model} was not measured, so nothing here says what a cut costs."
    dense = {q: r for q in grid.quality if (r := grid.of_dense(q)) and r.value is not None}
    if not dense:
        return f"No score of {grid.subject} was measured, so no loss can be judged."
    known = [q for q, record in dense.items() if beats_its_floor(record)]
    bare = [q for q, record in dense.items() if record.floor is None]
    at_floor = [q for q in dense if q not in (*known, *bare)]
    if not known and not at_floor:
        return f"No score of {grid.subject} has a floor to stand on, so no loss can be judged."
    few = [q for q in at_floor if floor_status(dense[q]) == "too few items"]
    subject = capital(grid.subject)
    is_cut = grid.origin is not None  # then what a cut costs is a question to its parent
    below = [q for q in at_floor if q not in few]
    if not known:
        text = f"{subject} is not shown to beat the floor on {joined(at_floor)}"
        text += "" if is_cut else ", so no loss can be shown"
    else:
        text = f"{subject} beats the floor on {joined(known)}"
        text += f"; on {joined(below)} it does not" if below else ""
        if below and not is_cut:
            text += f", so {'these' if len(below) > 1 else 'this'} cannot show what a cut costs"
    sentences = [f"{text}."]
    if few:
        sentences.append(
            f"On {joined(few)} there are too few items to tell: intervals reach from the floor to "
            "well above it."
        )
    if bare:
        sentences.append(
            f"There is no floor on {joined(bare)}, so what such a score is worth is not known."
        )
    return " ".join(sentences)


def _cut_sentence(grid: Grid, judged: Comparisons, criterion: str) -> str:
    networks = grid.cut_by(criterion)
    measured = [q for q in grid.quality if any((n, q) in judged for n in networks)]
    counted = [q for q in measured if _can_lose(grid.of_dense(q))]
    if not counted:
        return ""
    worse = _first(judged, networks, counted, "degrades")
    floored = _first(judged, networks, counted, "at the floor")
    better = _first(judged, networks, grid.quality, "improves")
    clauses = [_by_width(worse, "first shown to degrade at")] if worse else []
    clauses += [_by_width(floored, "no longer shown to beat the floor from")] if floored else []
    clauses += [f"{q} is first shown to improve at {n.ratio}" for q, n in better.items()]
    still = [q for q in counted if q not in (*worse, *floored)]
    clauses += _unshown(grid, judged, networks, still)
    clauses += _ranges(grid, judged, networks[-1])
    return f"Cut by {criterion}, {'; '.join(clauses)}."


def _unshown(
    grid: Grid, judged: Comparisons, networks: Sequence[GridRow], quantities: Sequence[str]
) -> Iterable[str]:
    """On what no loss is shown, how large one may still be, and where none could be shown."""
    blind, open_ = [], []
    for quantity in quantities:
        comparisons = [judged[n, quantity] for n in networks if (n, quantity) in judged]
        differences = (f.difference for f in comparisons)
        ends = [d for d in differences if d is not None and math.isfinite(d.high - d.low)]
        if not ends or not any(f.could_tell for f in comparisons):
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
        dense = grid.of_dense(quantity)
        last = grid.cells.get((narrowest, quantity))
        if not dense or not last or dense.value is None or last.value is None:
            continue
        comparison = judged.get((narrowest, quantity))
        if dense.higher_is_better is False and comparison and comparison.word == "degrades":
            yield (
                f"{quantity} goes from {number(dense.value, dense.unit)} to "
                f"{number(last.value, last.unit)} {unit_text(dense.unit)} at {narrowest.ratio}"
            )


def control_sentence(grid: Grid, criterion: str, wins: Mapping[str, WinCounts]) -> str:
    """Whether a criterion beats the control anywhere; nothing where they share no width."""
    if not wins:
        return ""
    better, worse, higher, lower = (
        _by_count(wins, attrgetter(name)) for name in ("better", "worse", "higher", "lower")
    )
    level = [q for q, w in wins.items() if not w.any]
    draws = describe_draws(grid)
    if not draws.startswith("mean"):
        return _one_draw_sentence(criterion, higher, lower, level)
    clauses = [f"is {side}" for side in _sides(better, worse)]
    clauses = clauses or ["is not shown to be better or worse on any task"]
    text = f"Beside the {CONTROL} control at the same width, {criterion} {joined(clauses)}"
    if level and (better or worse):
        text += f"; on {joined(level)} neither is shown to be better"
    text += f". The control is the {draws}"
    if alone := _sides(higher, lower):
        text += f"; where there is one draw alone, {criterion} scores {joined(alone)}"
    return text + "."


def _sides(better: str, worse: str) -> list[str]:
    """On what it is better and on what worse, as far as there is anything."""
    sides = (("better", better), ("worse", worse))
    return [f"{word} on {where}" for word, where in sides if where]


def _one_draw_sentence(criterion: str, higher: str, lower: str, level: Sequence[str]) -> str:
    """A criterion beside the only draw of the control: of chance that says nothing."""
    draw = f"than the one draw of the {CONTROL} control"
    clauses = [f"better {draw} on {higher}"] if higher else []
    clauses += [f"worse{'' if higher else ' ' + draw} on {lower}"] if lower else []
    text = f"At the same width, {criterion} "
    if clauses:
        text += f"scores {joined(clauses)}"
        text += f"; on {joined(level)} no difference is shown" if level else ""
    else:
        text += f"is not shown to score better or worse {draw} on any task"
    return text + ". How far other draws are from it is not known, so this says nothing of chance."


def _by_count(wins: Mapping[str, WinCounts], count: Callable[[WinCounts], int]) -> str:
    """`prose and mmlu at 4 of 6 widths, piqa at 1 of 6 widths`; nothing without any."""
    groups = grouped((f"{count(w)} of {w.of} widths", q) for q, w in wins.items() if count(w))
    return ", ".join(f"{joined(names)} at {where}" for where, names in groups.items())


def _first(
    judged: Comparisons, networks: Sequence[GridRow], quantities: Iterable[str], word: str
) -> dict[str, GridRow]:
    """For each quantity the widest network that has the word."""
    words = {at: comparison.word for at, comparison in judged.items()}
    found = ((q, [n for n in networks if words.get((n, q)) == word]) for q in quantities)
    return {quantity: where[0] for quantity, where in found if where}


def _by_width(first: Mapping[str, GridRow], phrase: str) -> str:
    """`prose and piqa are first shown to degrade at 1.60x, mmlu at 1.33x`."""
    by_width = sorted(first.items(), key=lambda item: -item[1].width)
    groups = grouped((network.ratio, quantity) for quantity, network in by_width)
    (ratio, names), *rest = groups.items()
    text = f"{joined(names)} {'are' if len(names) > 1 else 'is'} {phrase} {ratio}"
    return ", ".join([text, *(f"{joined(names)} at {ratio}" for ratio, names in rest)])
