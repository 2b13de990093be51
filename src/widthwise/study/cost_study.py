"""What models and widths cost, side by side: each workload in turn, a record a quantity."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ..cut.checkpoint import finding
from ..runs import ProgressCallback, Run, WorkUnit
from .cell_study import CellStudy
from .cost_benchmark import CostBenchmark
from .cost_settings import CostSettings
from .dense_model import DenseModel, ModelFiles, checked_device, default_device, with_place
from .records import Record


class CostStudy(CellStudy):
    """Measures the workloads that are missing, one after the other.

    Args:
        folder: Where records go; one that holds a part of this comparison is continued.
        settings: Settings of the comparison.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of this run that is done (0 to 1), and what is done now.
    """

    def __init__(
        self,
        folder: Path,
        settings: CostSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: ProgressCallback = lambda *_: None,
    ) -> None:
        device = checked_device(settings.device or default_device())
        parents = (
            DenseModel(
                files=ModelFiles(model), dtype=settings.dtype, device=device, seed=settings.seed
            )
            for model in settings.models
        )
        super().__init__(folder, parents, on_record)
        self.settings = settings
        self.benchmark = CostBenchmark(self.parents, settings)
        self._on_progress = on_progress

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on rows of another name, on dtypes, and on models without a known limit."""
        return self.benchmark.notes

    def _begin(self) -> None:
        import torch

        self.benchmark.intensity  # noqa: B018  a country without a number is refused first
        self._on_progress(0.0, finding(self.settings.models))
        self.benchmark.check()
        asked = {**asdict(self.settings), "weights": [parent.digest for parent in self.parents]}
        asked["threads"] = torch.get_num_threads()
        plain = json.loads(json.dumps(asked))
        agreed = with_place(self.store.agree_on(plain, choosing=("workloads",)))
        device = checked_device(agreed["device"])
        self.parents = tuple(parent.at(agreed["dtype"], device) for parent in self.parents)
        self.benchmark = CostBenchmark(self.parents, self.settings)
        self.store.begin(agreed, [self.benchmark.keys(work) for work in self.benchmark.workloads])
        self.store.tell()

    def _measure(self) -> None:
        units = [
            WorkUnit(keys=tuple(self.benchmark.keys(work)), label=work.name, work=work)
            for work in self.benchmark.workloads
        ]
        run = Run(units, self.store, retry_failed=self._retry_failed)
        run.do_here(self._time, self._on_progress)
        self._on_progress(1.0, "done")

    def _time(self, unit: WorkUnit, report: ProgressCallback) -> None:
        self.store.add(self.benchmark.records_of(unit.work, report))
