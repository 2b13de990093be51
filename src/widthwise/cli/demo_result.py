"""What a demo ends with: two charts, what may be said, and what more time would show."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from ..stats import counted, estimate_text, joined, percent
from .dot_chart import Dot, dot_chart
from .tables import print_wrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..findings import Grid
    from ..stats import Estimate
    from ..study import Demo, Record

_WIDE = 100  # columns of a chart at most
_FEWEST = 8  # questions of a chart: of fewer, intervals reach from end to end
_ANEW_SEC = 40  # that a demo takes before it asks anything
_KL = (
    "How far next words of prose are from the dense model's: KL divergence in nats a token, 0 "
    "where both say the same"
)
_KNOWS = "What it knows: the share of right answers to the questions of SciQ"


def print_demo(study: Demo) -> None:
    """The charts, the sentences, and what more time would show."""
    from ..findings import (
        answer,
        build_findings,
        build_grid,
        decision_sentences,
        estimate_of,
        load_warnings,
        next_words,
    )
    from ..report import missing_notes
    from ..study import QUESTIONS, TEXT, calibration_notes

    console = Console(highlight=False)
    records, grid = study.records, build_grid(study.records)

    def divergence(record: Record) -> Estimate | None:
        words = next_words(record)
        return None if words is None else words.divergence

    _print_chart(console, _KL, _rows(grid, TEXT, divergence), is_log=True)
    dense = grid.of_dense(QUESTIONS)
    if dense is not None and dense.n >= _FEWEST:
        floor = dense.floor
        about = _KNOWS if floor is None else f"{_KNOWS} (dotted: the floor, {percent(floor)})"
        _print_chart(console, about, _rows(grid, QUESTIONS, estimate_of, is_share=True), line=floor)
    (found,) = build_findings(records)
    decided = decision_sentences(grid, found.curves)
    texts = (*missing_notes(records), *decided, *answer(records), more_time(study, grid))
    for sentence in ("", *texts):
        print_wrapped(console, sentence)
    for note in (*load_warnings(records), *calibration_notes(records)):
        print_wrapped(console, note)


def _print_chart(
    console: Console,
    title: str,
    rows: list[Dot | None],
    *,
    is_log: bool = False,
    line: float | None = None,
) -> None:
    if not rows:
        return
    print_wrapped(console, f"\n{title}", style="bold")
    is_ascii = not console.encoding.startswith("utf")
    width = min(_WIDE, console.width)
    for text in dot_chart(rows, width=width, is_log=is_log, line=line, is_ascii=is_ascii):
        console.print(text, markup=False, soft_wrap=True)


def _rows(
    grid: Grid,
    quantity: str,
    read: Callable[[Record], Estimate | None],
    *,
    is_share: bool = False,
) -> list[Dot | None]:
    """What is read of each network, from wide to narrow, an empty row between two widths."""
    rows: list[Dot | None] = []
    shown = 0
    for network in sorted(grid.networks, key=lambda each: -each.width):
        record = grid.cells.get((network, quantity))
        found = None if record is None or record.value is None else read(record)
        if found is None or (found.value <= 0 and not is_share):
            continue
        if rows and network.width != shown:
            rows.append(None)
        name = network.criterion or "dense"
        is_first = network.criterion and network.width != shown
        begin = f"-{network.asked} {network.ratio}" if is_first else ""
        shown = network.width
        low, high = found.interval() if found.standard_error is not None else [found.value] * 2
        text = estimate_text(found, decimals=0, scale=100) + " %" if is_share else ""
        rows.append(
            Dot(
                label=f"{begin:10} {name}",
                value=found.value,
                low=low,
                high=high,
                text=text or estimate_text(found, decimals=2),
            )
        )
    return rows


def more_time(study: Demo, grid: Grid) -> str:
    """What a longer demo would ask, and how narrow intervals would then be about."""
    from ..findings import compare_to_dense

    if not study.more:
        return "All items that there are for a demo have been asked."
    judged = compare_to_dense(grid)
    minutes = math.ceil((study.more_seconds + _ANEW_SEC) / 60)
    asked, known = [], []
    for name, count in study.more.items():
        before = study.counts.get(name, 0)
        asked.append(f"{name} {counted(count - before, 'more item' if before else 'item')}")
        halves = [
            (found.difference.high - found.difference.low) / 2
            for (_, quantity), found in judged.items()
            if quantity == name and found.difference is not None
        ]
        dense = grid.of_dense(name)
        if halves and dense is not None and dense.unit == "accuracy":
            now, later = median(halves), median(halves) * math.sqrt(before / count)
            points = f"± {100 * later:.1f} in place of ± {100 * now:.1f} percentage points"
            known.append(f"on {name} to {points}")
    then = f", and know differences from dense {joined(known)}, about" if known else ""
    more = counted(minutes, "more minute")
    return (
        f"In {more} (the same command with --minutes {minutes}) it would ask {joined(asked)}{then}."
    )
