"""How often words and intervals are wrong: families of studies in which nothing differs.

Words: a dense model, six widths of a criterion and six of each draw of the control, all equally
good, go as records through the functions that make the words of tables, sentences and pages. A
family is wrong where any width is said to improve or to degrade; at most 5 % may be. The control's
draws differ by luck, `luck` times the error that the items leave in one score, most of it the same
at all widths of a draw, as choices nest; a criterion that chooses no better than chance is one more
draw. Floors: a scorer that is right independently of the label, as often as the best constant
answer is in truth; with early stop it stops where it is first said to beat the floor. Intervals:
how many hold the truth; of shares that is a sum over all counts.

    python benchmarks/words.py                 # 20 minutes of one core
    python benchmarks/words.py --minutes 5     # fewer families, larger errors
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from scipy.stats import binom, norm

from widthwise.evaluate.early_stopping import _STEP
from widthwise.evaluate.metric_shares import pseudovalues, standard_error_of
from widthwise.findings import (
    beats_its_floor,
    build_grid,
    compare_to_control,
    compare_to_dense,
    estimate_of,
    shown_word,
)
from widthwise.findings.pareto import qualities_of
from widthwise.stats import Share, paired_difference, stopping_index
from widthwise.study import Record

HIDDEN, WIDTHS = 100, (260, 240, 210, 180, 150, 120)
SHARED, NESTED = 0.7, 0.7  # of the variance: items' difficulty in all networks, luck at all widths
HALF_WIDTH = 0.12  # at which a network stops early
FAMILIES = 1000  # at most
SIZES = (2, 8, 20, 60, 128, 400)  # items
Chance = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Null:
    """A family of studies in which nothing differs.

    Attributes:
        draws: Of the control; 0 for a family beside dense.
        n: Items.
        kind: `"0/1"`, or `"real"` for normal items.
        luck: Standard deviation of a draw's score over the error that its items leave.
        own_luck: Whether the criterion's network has luck too, as one more draw.
        until: Whether networks stop early.
        floor: What a trivial answerer gets, a number that is known; None for no floor.
    """

    draws: int
    n: int
    kind: str
    luck: float = 0.0
    own_luck: bool = True
    until: bool = False
    floor: float | None = None


def family(null: Null, chance: Chance) -> list[Record]:
    """Records of one study."""
    difficulty = chance.normal(size=null.n)
    scale = 1 / math.sqrt(null.n)  # error of a score; of 0/1 items .5 / sqrt(n) by slope .4
    scale *= 1.25 if null.kind == "0/1" else 1.0
    names = ["ppm", *(f"random~{seed}" if seed else "random" for seed in range(null.draws))]
    records = [_record(null, None, 400, _items(null, difficulty, 0.0, chance), None)]
    dense = records[0].items
    for name in names:
        own = chance.normal() * math.sqrt(NESTED)
        for width in WIDTHS:
            luck = own + chance.normal() * math.sqrt(1 - NESTED)
            luck *= null.luck * scale * (name != "ppm" or null.own_luck)
            items = _items(null, difficulty, luck, chance)
            records.append(_record(null, name, width, items, dense))
    return records


def _items(null: Null, difficulty: Any, luck: float, chance: Chance) -> tuple[float, ...]:
    own = chance.normal(size=null.n)
    latent = math.sqrt(SHARED) * difficulty + math.sqrt(1 - SHARED) * own + luck
    return tuple(((latent > 0) if null.kind == "0/1" else latent).astype(float).tolist())


def _record(
    null: Null,
    criterion: str | None,
    width: int,
    items: tuple[float, ...],
    dense: tuple[float, ...] | None,
) -> Record:
    if null.until and dense is not None:
        items = items[: _stop([a - b for a, b in zip(items, dense, strict=True)])]
    mean = sum(items) / len(items)
    return Record(
        cell=f"{criterion} {width}",
        model="null",
        criterion=criterion,
        asked=f"{width}" if criterion else "dense",
        width=width,
        expansion_ratio=width / HIDDEN,
        quantity="task",
        unit="accuracy" if null.kind == "0/1" else "bits_per_byte",
        value=mean,
        standard_error=standard_error_of(items),
        n=len(items),
        floor=null.floor,
        higher_is_better=null.kind == "0/1",
        items=items,
        settings={"until": HALF_WIDTH} if null.until else {},
    )


def shifted(record: Record, by: float) -> Record:
    """The same with a score that is better or worse."""
    assert record.value is not None
    items = tuple(item + by for item in record.items)
    return replace(record, value=record.value + by, items=items)


def _stop(differences: Sequence[float]) -> int:
    """Where a network stops that is looked at after every step."""
    for seen in range(_STEP, len(differences), _STEP):
        if stopping_index(differences[:seen], HALF_WIDTH) is not None:
            return seen
    return len(differences)


def has_word(null: Null, chance: Chance) -> bool:
    """Whether a table says of any width that it improves or degrades."""
    grid = build_grid(family(null, chance))
    judged = compare_to_control(grid, "ppm", "random") if null.draws else compare_to_dense(grid)
    words = (shown_word(one, grid.cells[at]) for at, one in judged.items())
    return any(word in ("improves", "degrades") for word in words)


def beats(
    n: int,
    documents: int,
    leans: float,
    chance: Chance,
    *,
    is_told: bool = True,
    until: bool = False,
) -> bool:
    """Whether a scorer no better than the best constant answer is said to beat it.

    Args:
        n: Items.
        documents: That the floor is counted on, the items among them.
        leans: Chance that the scorer gives the constant answer, and not one of its own.
        chance: Of labels and answers.
        is_told: Whether the record says how the floor was counted.
        until: Whether the scorer is looked at after every step, and stops as soon as it is said to
            beat the floor: no rule that stops at a step can have it said more often.
    """
    label = chance.uniform(size=documents) < 0.62
    constant = (label == (label.mean() >= 0.5)).astype(float)
    free = chance.uniform(size=documents) < 0.62
    items = np.where(chance.uniform(size=documents) < leans, label, free)[:n].astype(float)
    record = _record(Null(draws=0, n=n, kind="0/1", until=until), None, 400, tuple(items), None)
    floor = float(constant.mean())
    record = replace(record, floor=floor, floor_kind="always 'yes'")
    if is_told:
        error = math.sqrt(floor * (1 - floor) / (documents - 1))
        told = tuple(constant[:n].tolist())
        record = replace(record, floor_n=documents, floor_error=error, floor_items=told)
    looks = range(_STEP, n + _STEP, _STEP) if until else (n,)
    return any(beats_its_floor(_first(record, seen)) for seen in looks)


def _first(record: Record, seen: int) -> Record:
    """The record of a network that stopped after so many items."""
    items = record.items[:seen]
    return replace(
        record,
        value=sum(items) / len(items),
        standard_error=standard_error_of(items),
        n=len(items),
        items=items,
        floor_items=record.floor_items[:seen],
    )


def coverage_of_shares(n: int, chances: Sequence[float]) -> list[float]:
    """Of each chance the share of samples whose interval holds it: exact."""
    ends = []
    for right in range(n + 1):
        value = right / n
        error = math.sqrt(value * (1 - value) / (n - 1)) if n > 1 else None
        ends.append(Share(value=value, standard_error=error, n=n).interval())
    low, high = np.array(ends).T
    return [
        float((binom.pmf(range(n + 1), n, p) * ((low <= p) & (p <= high))).sum()) for p in chances
    ]


def _holds(ends: tuple[float, float], truth: float) -> bool:
    return ends[0] <= truth <= ends[1]


def mean_holds(n: int, chance: Chance) -> bool:
    """A mean of normal items, as of bits per byte or seeds."""
    null = Null(draws=0, n=n, kind="real")
    score = estimate_of(_record(null, None, 400, tuple(chance.normal(3, 1, n).tolist()), None))
    assert score is not None
    return _holds(score.interval(), 3.0)


def perplexity_holds(n: int, chance: Chance) -> bool:
    """A perplexity of n texts of one word each."""
    return _text_holds("perplexity", [(-x, 1) for x in chance.normal(3, 1, n)], math.exp(3))


def bits_holds(n: int, chance: Chance) -> bool:
    """Bits per byte of n texts of different lengths, which are no worse for being long."""
    sizes = np.rint(np.exp(chance.normal(7, 0.5, n)))
    nats = sizes * chance.normal(0.7, 0.1, n)
    pairs = list(zip((-nats).tolist(), sizes.tolist(), strict=True))
    return _text_holds("bits_per_byte", pairs, 0.7 / math.log(2))


def _text_holds(metric: str, pairs: list[Any], truth: float) -> bool:
    ratio = -sum(a for a, _ in pairs) / sum(w for _, w in pairs)
    value = ratio / math.log(2) if metric == "bits_per_byte" else math.exp(ratio)
    items = tuple(pseudovalues(metric, pairs, value, lambda _: value))
    null = Null(draws=0, n=len(items), kind="real")
    made = _record(null, None, 400, items, None)
    score = estimate_of(replace(made, unit=metric, value=value))
    assert score is not None
    return _holds(score.interval(), truth)


def difference_holds(n: int, kind: str, chance: Chance) -> bool:
    """A paired difference; of 0/1 items a quarter is won and a tenth lost."""
    if kind == "real":
        values = chance.normal(0.5, 1, n)
        found = paired_difference(values.tolist(), [0.0] * n)
        return _holds((found.low, found.high), 0.5)
    moved = chance.choice([1.0, -1.0, 0.0], n, p=[0.25, 0.10, 0.65])
    found = paired_difference((moved == 1).tolist(), (moved == -1).tolist())
    return _holds((found.low, found.high), 0.15)


def mean_of_tasks_holds(n: int, chance: Chance) -> bool:
    """The mean above the floors of two tasks with the same documents."""
    null = Null(draws=0, n=n, kind="0/1")
    latent = chance.normal(size=n)
    records = []
    for name in ("truthfulqa_mc1", "truthfulqa_mc2"):
        own = math.sqrt(0.9) * latent + math.sqrt(0.1) * chance.normal(size=n)
        items = tuple((own > norm.ppf(0.2)).astype(float).tolist())
        for criterion, width in ((None, 400), ("ppm", 260)):
            made = _record(null, criterion, width, items, None)
            told = {"floor": 0.25, "floor_kind": "chance", "cell": f"{criterion} {name}"}
            records.append(replace(made, quantity=name, **told))
    quality = qualities_of(build_grid(records))[0]
    _, low, high = quality.shown[0]
    return low is not None and high is not None and _holds((low, high), (0.8 - 0.25) / 0.75)


def rate(
    one: Callable[[Chance], bool], times: int, seed: int, seconds: float = math.inf
) -> tuple[float, float, int]:
    """Share of runs in which it is so, the error of that share, and how many there were."""
    chance, hits, stop = np.random.default_rng(seed), 0, time.monotonic() + seconds
    for done in range(1, times + 1):
        hits += one(chance)
        if time.monotonic() > stop and done >= 20:
            break
    share = hits / done
    return share, math.sqrt(max(share, 1 / done) * (1 - share) / done), done


def nulls() -> Iterator[Null]:
    """All families of the long version, the quickest first."""
    for n in SIZES:
        for kind in ("0/1", "real"):
            yield Null(draws=0, n=n, kind=kind)
            for draws in (1, 2, 3):
                for luck in (0.0, 1.0, 4.0):
                    if n in (20, 128) or luck == 1.0:
                        yield Null(draws=draws, n=n, kind=kind, luck=luck)
            yield Null(draws=3, n=n, kind=kind, luck=4.0, own_luck=False)
        for draws in (0, 1, 2, 3):
            yield Null(draws=draws, n=n, kind="0/1", luck=float(draws > 0), until=True)


def print_shares() -> None:
    """How often intervals of shares hold the truth."""
    print("95 % intervals of shares, exact: average over chances, least and most of .1 to .9")
    for n in (1, 2, 4, 7, 8, 12, 20, 60, 100, 400):
        found = np.array(coverage_of_shares(n, np.arange(0.005, 1, 0.005).tolist()))
        middle = found[19:180]
        print(f"  n {n:3}: {found.mean():6.1%} [{middle.min():.1%}, {middle.max():.1%}]")


def print_numbers(seconds: float) -> None:
    """How often intervals of other numbers do; so many seconds a cell at most."""
    print("95 % intervals, share that holds the truth")
    kinds: dict[str, Callable[[int, Chance], bool]] = {
        "mean": mean_holds,
        "perplexity": perplexity_holds,
        "bits per byte": bits_holds,
        "difference, 0/1": lambda n, chance: difference_holds(n, "0/1", chance),
        "difference, real": lambda n, chance: difference_holds(n, "real", chance),
        "mean of tasks": mean_of_tasks_holds,
    }
    for name, one in kinds.items():
        cells = []
        for n in (2, 4, 8, 20, 60, 400) if one is not mean_of_tasks_holds else (20, 60, 400):
            share, error, _ = rate(lambda c, o=one, n=n: o(n, c), 4000, n, seconds)
            cells.append(f"n {n} {share:.1%} ± {error:.1%}")
        print(f"  {name:17}: {', '.join(cells)}", flush=True)


def portions(cells: int, seconds: float) -> Iterator[float]:
    """Seconds of each cell: what earlier ones leave is shared by those that follow."""
    stop = time.monotonic() + seconds
    for left in range(cells, 0, -1):
        yield (stop - time.monotonic()) / left


def print_floors(seconds: float) -> None:
    """How often a floor is beaten by what is no better, in so many seconds."""
    print("a scorer no better than the best constant answer beats the floor: items, early stop;")
    print("  blind and leaning, by a floor of the same documents, the same of records that do not")
    print("  say how it was counted, by a floor of ten times as many")
    floors = list(product((1, 10), (True, False), (0.0, 0.5)))
    floors = [(times, told, leans) for times, told, leans in floors if told or times == 1]
    rows = list(product(SIZES, (False, True)))
    own = portions(len(rows) * len(floors), seconds)
    for n, until in rows:
        cells = []
        for times, told, leans in floors:
            one = partial(beats, n, times * n, leans, is_told=told, until=until)
            share, error, done = rate(one, 4000, n, next(own))
            cells.append(f"{share:.1%} ± {error:.1%} of {done}")
        print(f"  {n:3} {'yes' if until else 'no':3}: {', '.join(cells)}", flush=True)


def print_words(seconds: float) -> None:
    """How often a family has a false word, in so many seconds."""
    every = list(nulls())
    print("families with a false word: draws, items, kind, luck, own luck, early stop")
    for null, own in zip(every, portions(len(every), seconds), strict=True):
        share, error, done = rate(partial(has_word, null), FAMILIES, 1, own)
        print(
            f"  {null.draws} {null.n:3} {null.kind:4} {null.luck:g} "
            f"{'yes' if null.own_luck else 'no':3} {'yes' if null.until else 'no':3}: "
            f"{share:.1%} ± {error:.1%} of {done}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    seconds = 60 * parser.parse_args().minutes
    print_shares()
    print_numbers(seconds / 200)
    print_floors(0.15 * seconds)
    print_words(0.7 * seconds)


if __name__ == "__main__":
    main()
