"""What a report draws: the records of one model in one study, without those that disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..findings import (
    COST_UNITS,
    Comparisons,
    Grid,
    build_grid,
    compare_to_dense,
    floor_status,
    mean_of_draws,
    network_of,
    shown_word,
)
from ..stats import grouped
from ..study import CONTROL, Continuation, Record, StoredStudy, is_control
from .cost_table import is_cost_record
from .score_table import TaskScores, scores_of

_FEW = 3  # places that one sentence names


@dataclass(frozen=True, kw_only=True)
class ModelResults:
    """One model in one study.

    Attributes:
        name: What tells it from the others of the report.
        model: Name of the dense parent.
        records: All of its records.
        agreed: All but those that contradict each other or cannot be compared; each draw of the
            control by itself.
        conflicts: What was left out and why, a sentence each.
        settings: That the study was begun with.
        source: Its folder or file; None for records that were handed over.
        pending: How many of the study's cells have no record yet.
        texts: What its networks wrote after prompts.
        heading: The name where a page shows several; empty where this one is alone.
    """

    name: str
    model: str
    records: tuple[Record, ...]
    agreed: tuple[Record, ...]
    conflicts: tuple[str, ...]
    settings: Mapping[str, Any]
    source: Path | None = None
    pending: int = 0
    texts: tuple[Continuation, ...] = ()
    heading: str = ""

    def headed(self, note: str) -> str:
        """A note with the name of the study, where there are several."""
        return f"{self.heading}: {note}" if self.heading else note

    @cached_property
    def costs(self) -> tuple[Record, ...]:
        """What `widthwise measure` stored."""
        return tuple(filter(is_cost_record, self.agreed))

    @cached_property
    def draws(self) -> Grid:
        """Scores, sizes and speeds, with each draw of the control by itself.

        It is empty where only costs were measured, or nothing agrees.
        """
        others = [record for record in self.agreed if not is_cost_record(record)]
        return build_grid(others) if others else Grid(model=self.model)

    @cached_property
    def grid(self) -> Grid:
        """The same, with the mean of all draws of the control."""
        pooled = _pooled(list(self.draws.cells.values()))
        return build_grid(pooled) if pooled else self.draws

    @cached_property
    def judged(self) -> Comparisons:
        """Every score of the grid beside dense."""
        return compare_to_dense(self.grid, apart=self.draws)

    def word(self, record: Record) -> str:
        """What a score may be called beside dense, and dense beside its floor; "" if nothing."""
        judged = self.judged.get((network_of(record), record.quantity))
        is_whole = record.criterion is None and None not in (record.value, record.floor)
        if is_whole:
            return floor_status(record)
        return shown_word(judged, record) if judged else ""

    @cached_property
    def scores(self) -> tuple[TaskScores, ...]:
        """The same as text, a table a task."""
        return scores_of(self.grid, self.judged, self.draws)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was left out or put together and why, a sentence each."""
        counts = Counter(
            (record.asked, record.width, record.quantity)
            for record in self.draws.cells.values()
            if is_control(record.criterion) and record.value is not None
        )
        most = max(counts.values(), default=1)
        pooled = f"{CONTROL} is the mean of up to {most} draws, item by item."
        return (*self.conflicts, pooled) if most > 1 else self.conflicts


def results_of(studies: Sequence[StoredStudy]) -> tuple[ModelResults, ...]:
    """Each model of each study, in the order in which they come.

    Raises:
        RunError: A study was given twice.
    """
    if len({study.path.resolve() for study in studies}) < len(studies):
        raise RunError("a study was given twice; name each one once")
    clash = len({study.name for study in studies}) < len(studies)
    results = []
    for study in studies:
        models = grouped((record.model, record) for record in study.records)
        for model, records in models.items():
            name = str(study.path) if clash else study.name
            if len(studies) == 1:
                name = model
            elif len(models) > 1:
                name = f"{name}: {model}"
            results.append(
                model_results(
                    records,
                    name,
                    study.settings,
                    source=study.path,
                    pending=study.pending,
                    texts=[text for text in study.texts if text.model == model],
                )
            )
    if len(results) < 2:
        return tuple(results)
    return tuple(replace(result, heading=result.name) for result in results)


def model_results(
    records: Sequence[Record],
    name: str,
    settings: Mapping[str, Any],
    *,
    source: Path | None = None,
    pending: int = 0,
    texts: Sequence[Continuation] = (),
) -> ModelResults:
    """Records of one model, sorted out: what contradicts itself is left out with a sentence."""
    kept, conflicts = _without_conflicts(records)
    kept, unequal = _of_equal_length(kept)
    return ModelResults(
        name=name,
        model=records[0].model,
        records=tuple(records),
        agreed=tuple(kept),
        conflicts=(*conflicts, *unequal),
        settings=settings,
        source=source,
        pending=pending,
        texts=tuple(texts),
    )


def _without_conflicts(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Places that two different cells measured say nothing: which of them is right is not known."""
    cells = grouped(((network_of(r), r.quantity), r.cell) for r in records)
    wrong = {at: names for at, found in cells.items() if len(names := dict.fromkeys(found)) > 1}
    kept = [r for r in records if (network_of(r), r.quantity) not in wrong]
    if not wrong:
        return kept, []
    named = [
        f"{quantity} of {network.label} ({' and '.join(names)})"
        for (network, quantity), names in list(wrong.items())[:_FEW]
    ]
    more = f" and {len(wrong) - _FEW} more" if len(wrong) > _FEW else ""
    return kept, [
        f"Left out, for two different cells measured it: {', '.join(named)}{more}; "
        "report one study at a time."
    ]


def _pooled(records: Sequence[Record]) -> list[Record]:
    """Several draws of the control at one width as one network, their mean, item by item."""
    places = grouped(
        ((CONTROL if is_control(r.criterion) else r.criterion, r.asked, r.width, r.quantity), r)
        for r in records
    )
    return [
        replace(mean_of_draws(found), criterion=CONTROL) if criterion == CONTROL else found[0]
        for (criterion, *_), found in places.items()
    ]


def _of_equal_length(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Without the scores whose networks answered different numbers of items, if none was stopped
    early: they cannot be compared."""
    lengths = grouped(
        (r.quantity, len(r.items))
        for r in records
        if r.items
        and not is_cost_record(r)
        and r.unit not in COST_UNITS
        and (r.settings.get("until") is None or r.unit != "accuracy")
    )
    wrong = {quantity: counts for quantity, counts in lengths.items() if len(set(counts)) > 1}
    notes = [
        f"{quantity} is left out: its networks were measured on different numbers of items "
        f"({', '.join(map(str, sorted(set(counts))))}), so they cannot be compared."
        for quantity, counts in wrong.items()
    ]
    return [record for record in records if record.quantity not in wrong], notes
