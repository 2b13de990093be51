"""Made-up studies of one task, for the tests of findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from report_records import HIDDEN, record, score

from widthwise.findings import Findings, WidthCurve, build_findings
from widthwise.study import Record

WIDTHS = (1536, 1376, 1216, 1072, 912, 752, 608)


def place(criterion: str, width: int) -> tuple[str | None, str, int]:
    if width == WIDTHS[0]:
        return None, "dense", width
    return criterion, f"{width / HIDDEN:.3f}x", width


def right(count: int, of: int) -> list[float]:
    """The first items right, so that a lower count is a loss and nothing but that."""
    return [1.0] * count + [0.0] * (of - count)


def study(
    counts: Sequence[int], of: int = 200, *, task: str = "piqa", criterion: str = "ppm", **rest: Any
) -> list[Record]:
    """A record a width, dense first; `rest` as in `score`."""
    return [
        score(place(criterion, width), task, right(count, of), **rest)
        for width, count in zip(WIDTHS, counts, strict=False)
    ]


def sizes(criteria: Sequence[str] = ("ppm",)) -> list[Record]:
    """Bytes of every network."""
    places = dict.fromkeys(place(c, width) for c in criteria for width in WIDTHS)
    return [record(at, "bytes", "bytes", 1e8 + 1e5 * at[2], n=1) for at in places]


def draws(*counts: int, width: int = 1376) -> list[Record]:
    """Draws of the control, one a count, which are right on other items each."""
    names = ("random", "random~7", "random~8")
    return [
        score(place(name, width), "piqa", np.roll(right(count, 200), 5 * i))
        for i, (name, count) in enumerate(zip(names, counts, strict=False))
    ]


def perplexity(width: int, logs: np.ndarray, criterion: str = "ppm") -> Record:
    """Items are shares of the perplexity, linear in their logarithms, as the scorer has them."""
    mean = float(np.exp(logs.mean()))
    return score(
        place(criterion, width),
        "lambada",
        mean * (1 + logs - logs.mean()),
        unit="perplexity",
        floor=4000.0,
        higher_is_better=False,
    )


def findings_of(records: list[Record], loss: float = 0.02) -> Findings:
    """The findings of the one model that there is."""
    (findings,) = build_findings(records, loss=loss)
    return findings


def curve(records: list[Record], loss: float = 0.02, criterion: str = "ppm") -> WidthCurve:
    """The first curve of a criterion."""
    return next(c for c in findings_of(records, loss).curves if c.criterion == criterion)
