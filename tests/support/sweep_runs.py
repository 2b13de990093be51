"""Small sweeps of the tiny checkpoint, and what they left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from widthwise.study import EvaluateSettings, Evaluation, Record

TASKS = ("embedded:piqa", "embedded:prose", "embedded:ifbench")
NAMES = ("piqa", "prose", "ifbench")
WIDTHS = ("1.4x", "40%")  # 44 and 31 of 53 neurons


def settings_of(model: Path, **changes: Any) -> EvaluateSettings:
    small: dict[str, Any] = {"tasks": TASKS, "widths": WIDTHS, "limit": 4, "max_new_tokens": 6}
    small["criteria"] = ("ppm",)
    return EvaluateSettings(model=str(model), **{**small, "dtype": "float32", **changes})


def run(folder: Path, settings: EvaluateSettings, **more: Any) -> dict[tuple[Any, ...], Record]:
    records = Evaluation(folder, settings, **more).run()
    return {(r.criterion, r.asked, r.quantity): r for r in records}


def answers(folder: Path, record: Record) -> pd.DataFrame:
    return pd.read_parquet(folder / "items" / f"{record.cell}.parquet")


def numbers(records: dict[tuple[Any, ...], Record]) -> dict[tuple[Any, ...], Any]:
    """What must not depend on how a run went: all but clocks."""
    return {
        key: (r.cell, r.width, r.value, r.standard_error, r.n, r.floor, r.items, r.reason)
        for key, r in records.items()
    }
