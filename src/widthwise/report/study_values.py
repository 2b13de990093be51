"""What a page of studies shows, as values for programs: no layout, and no items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ..findings import (
    estimate_of,
    flips,
    network_of,
    next_words,
    speed_ratio,
    turn_ratio,
)
from ..study import Record, StoredStudy
from .answers import answer_of
from .model_results import ModelResults, results_of

_IN_FILES = ("items", "floor_items", "distances", "settings")  # records.jsonl has them


def study_values(studies: Sequence[StoredStudy]) -> list[dict[str, Any]]:
    """For each model of each study what its page says of it.

    Keys: `model`, the name; `settings`; `sentences`, what may be said; `notes`, what was left out
    and why; `pending`, the number of cells without a record; `texts`, as `Continuation`; `records`.
    These have the fields of `Record` but for items and settings, and besides

    - `interval`: 95 %, or None;
    - `beside_dense`: of a score its `Comparison` with the dense model's; None where there is none;
    - `verdict`: the word in the tables of the page; "" of what is no score;
    - `next_words`, `flips`: how far answers are from those of dense, as in `findings`, or None;
    - `ratio`: of a cost an estimate of the ratio to that of dense, or to that of the first of
      several models that took turns; None for the first itself, and where they did not.

    Several draws of the control are one network: their mean.

    Raises:
        RunError: A study was given twice.
    """
    series = results_of(studies)
    first: dict[str, Record] = {}
    for record in (record for result in series for record in result.costs):
        first.setdefault(record.quantity, record)
    return [
        {
            "model": result.name,
            "settings": result.settings,
            "sentences": answer_of(result, series),
            "notes": result.notes,
            "pending": result.pending,
            "texts": result.texts,
            "records": [
                *(_graded(result, record) for record in result.grid.cells.values()),
                *(_values(r, ratio=turn_ratio(r, first[r.quantity])) for r in result.costs),
            ],
        }
        for result in series
    ]


def _graded(result: ModelResults, record: Record) -> dict[str, Any]:
    """A score beside that of dense; a size or a speed over it."""
    grid = result.grid
    if record.quantity not in grid.quality:
        return _values(record, ratio=speed_ratio(grid, record))
    dense = grid.of_dense(record.quantity)
    return _values(
        record,
        beside_dense=result.judged.get((network_of(record), record.quantity)),
        verdict=result.word(record),
        next_words=next_words(record),
        flips=None if record is dense or record.value is None else flips(record, dense),
    )


def _values(record: Record, **more: Any) -> dict[str, Any]:
    own = {f.name: getattr(record, f.name) for f in fields(Record) if f.name not in _IN_FILES}
    found = estimate_of(record)
    is_known = found is not None and found.standard_error is not None
    return {
        **own,
        "interval": found.interval() if found is not None and is_known else None,
        "beside_dense": None,
        "verdict": "",
        **dict.fromkeys(("next_words", "flips", "ratio")),
        **more,
    }
