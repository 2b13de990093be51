"""What a report draws: the records of one model in one study, without those that disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..findings import (
    COST_UNITS,
    Comparisons,
    Grid,
    build_grid,
    compare_to_dense,
    mean_of_draws,
    network_of,
)
from ..study import CONTROL, Record, StoredStudy, is_control
from .cost_table import is_cost_record
from .score_table import TaskScores, scores_of

_FEW = 3  # places that one sentence names


@dataclass(frozen=True, kw_only=True)
class ModelResults:
    """One model in one study.

    Attributes:
        name: What tells it from the others of the report.
        model: Name of the dense parent.
        grid: Scores, sizes and speeds; None where only costs were measured, or nothing agrees.
        apart: The same with each draw of the control by itself: how far they differ is in what is
            said of a criterion beside the control.
        judged: Every score of the grid beside dense.
        scores: The same as text, a table a task.
        costs: What `widthwise measure` stored.
        records: All of them, those that are left out among them.
        agreed: All but those that are left out, each draw of the control by itself.
        notes: What was left out or put together and why, a sentence each.
        settings: That the study was begun with.
        source: Its folder or file; None for records that were handed over.
        pending: How many of the study's cells have no record yet.
    """

    name: str
    model: str
    grid: Grid | None
    apart: Grid | None
    judged: Comparisons
    scores: tuple[TaskScores, ...]
    costs: tuple[Record, ...]
    records: tuple[Record, ...]
    agreed: tuple[Record, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    source: Path | None = None
    pending: int = 0


def results_of(studies: Sequence[StoredStudy]) -> tuple[ModelResults, ...]:
    """Each model of each study, in the order in which they come.

    Raises:
        RunError: A study was given twice.
    """
    if len({study.path.resolve() for study in studies}) < len(studies):
        raise RunError("a study was given twice; name each one once")
    parts = [(study, model) for study in studies for model in _models(study.records)]
    clash = len({study.name for study in studies}) < len(studies)
    found = []
    for study, model in parts:
        records = [record for record in study.records if record.model == model]
        told = str(study.path) if clash else study.name
        if len(studies) == 1:
            told = model
        elif sum(other is study for other, _ in parts) > 1:
            told = f"{told}: {model}"
        found.append(
            model_results(records, told, study.settings, source=study.path, pending=study.pending)
        )
    return tuple(found)


def model_results(
    records: Sequence[Record],
    name: str,
    settings: Mapping[str, Any],
    *,
    source: Path | None = None,
    pending: int = 0,
) -> ModelResults:
    """Records of one model, sorted out: what contradicts itself is left out with a sentence."""
    kept, notes = _without_conflicts(records)
    costs = [record for record in kept if is_cost_record(record)]
    kept, unequal = _of_equal_length(kept)
    rated = [record for record in kept if not is_cost_record(record)]
    others, drawn = _pooled(rated)
    if drawn > 1:
        unequal.append(f"{CONTROL} is the mean of up to {drawn} draws, item by item.")
    grid, apart = (build_grid(some) if some else None for some in (others, rated))
    judged = compare_to_dense(grid, apart=apart) if grid else {}
    return ModelResults(
        name=name,
        model=records[0].model,
        grid=grid,
        apart=apart,
        judged=judged,
        scores=scores_of(grid, judged, apart) if grid else (),
        costs=tuple(costs),
        records=tuple(records),
        agreed=tuple(kept),
        notes=(*notes, *unequal),
        settings=settings,
        source=source,
        pending=pending,
    )


def _models(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record.model for record in records))


def _without_conflicts(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Places that two different cells measured say nothing: which of them is right is not known."""
    cells: dict[tuple[Any, str], list[str]] = {}
    for record in records:
        found = cells.setdefault((network_of(record), record.quantity), [])
        found += [record.cell] if record.cell not in found else []
    wrong = {place: found for place, found in cells.items() if len(found) > 1}
    kept = [r for r in records if (network_of(r), r.quantity) not in wrong]
    if not wrong:
        return kept, []
    named = [
        f"{quantity} of {network.label} ({' and '.join(found)})"
        for (network, quantity), found in list(wrong.items())[:_FEW]
    ]
    more = f" and {len(wrong) - _FEW} more" if len(wrong) > _FEW else ""
    return kept, [
        f"Left out, for two different cells measured it: {', '.join(named)}{more}; "
        "report one study at a time."
    ]


def _pooled(records: Sequence[Record]) -> tuple[list[Record], int]:
    """Several draws of the control at one width as one network, their mean, item by item."""
    draws: dict[tuple[str, int, str], list[Record]] = {}
    for record in records:
        if is_control(record.criterion):
            draws.setdefault((record.asked, record.width, record.quantity), []).append(record)
    pooled, most = [], 1
    for record in records:
        found = draws.get((record.asked, record.width, record.quantity), [])
        if not is_control(record.criterion):
            pooled.append(record)
        elif record is found[0]:
            most = max(most, sum(each.value is not None for each in found))
            pooled.append(replace(mean_of_draws(found), criterion=CONTROL))
    return pooled, most


def _of_equal_length(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Without the scores whose networks answered different numbers of items, if none was stopped
    early: they cannot be compared."""
    lengths: dict[str, set[int]] = {}
    for record in records:
        stopped = record.settings.get("until") is not None and record.unit == "accuracy"
        if (
            record.items
            and not is_cost_record(record)
            and not stopped
            and record.unit not in COST_UNITS
        ):
            lengths.setdefault(record.quantity, set()).add(len(record.items))
    wrong = {quantity: found for quantity, found in lengths.items() if len(found) > 1}
    notes = [
        f"{quantity} is left out: its networks were measured on different numbers of items "
        f"({', '.join(map(str, sorted(found)))}), so they cannot be compared."
        for quantity, found in wrong.items()
    ]
    return [record for record in records if record.quantity not in wrong], notes
