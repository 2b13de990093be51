"""Small comparisons of costs of the tiny checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from widthwise import measure
from widthwise.study import CostSettings, Record

CEILINGS = measure.PeakRates(
    flops_per_sec=1e9, bytes_per_sec=1e9, device="cpu", dtype="float32", name="a processor"
)


WORKS = ("3x4", "5x1x2")


def settings_of(*models: Path, **changes: Any) -> CostSettings:
    small: dict[str, Any] = {"widths": ("40%", "50"), "workloads": WORKS, "dtype": "float32"}
    return CostSettings(models=tuple(map(str, models)), **{**small, "device": "cpu", **changes})


def by_place(records: list[Record]) -> dict[tuple[Any, ...], Record]:
    return {(r.criterion, r.asked, r.quantity): r for r in records}
