"""Two studies of one model, which a page sets side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report_records import DENSE, score

from widthwise.study import Record, StoredStudy

PARENT, CUT, CHANCE = (None, "dense", DENSE), ("ppm", "1.6x", 912), ("random", "1.6x", 912)
HEALED = (None, "dense", 912)  # the cut as a checkpoint of its own, trained and measured


def right(n: int, of: int = 200) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def stored(name: str, records: list[Record]) -> StoredStudy:
    told = {"source": "200 of 1,319 items, seed 0"}
    records = [
        replace(r, settings={**told, **r.settings}, cell=f"{name}-{r.cell}") for r in records
    ]
    return StoredStudy(path=Path(name), settings={}, records=tuple(records), pending=0)


def before() -> StoredStudy:
    at = ((PARENT, 150), (CUT, 80), (CHANCE, 70))
    return stored("before", [score(place, "piqa", right(n)) for place, n in at])
