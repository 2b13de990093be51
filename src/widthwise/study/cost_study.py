"""What models and widths cost, side by side: each workload in turn, a record a quantity."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from .. import __version__
from ..cut.checkpoint import finding
from .cost_benchmark import CostBenchmark
from .cost_settings import CostSettings
from .dense_model import DenseModel, checked_device, default_device, default_dtype
from .records import Record
from .store import StudyStore

Progress = Callable[[float, str], None]


class CostStudy:
    """Runs the workloads that are not yet measured, one after the other.

    Args:
        folder: Where records go; one that holds a part of this comparison is gone on with.
        settings: What to measure.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of the work done (0 to 1) and what is being done.
    """

    def __init__(
        self,
        folder: Path,
        settings: CostSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: Progress = lambda *_: None,
    ) -> None:
        self.settings = settings
        device = checked_device(settings.device or default_device())
        self.coster = CostBenchmark(
            [
                DenseModel(model, dtype=settings.dtype, device=device, seed=settings.seed)
                for model in settings.models
            ],
            settings,
        )
        self.journal = StudyStore(folder, on_record)
        self._on_progress = on_progress

    @property
    def notes(self) -> tuple[str, ...]:
        """Which widths that were asked for stand in a row of another name."""
        return self.coster.notes

    def run(self) -> list[Record]:
        """Measure what is missing and return all records."""
        with self.journal.held():
            self.coster.intensity  # noqa: B018  a country without a number is refused first
            self._on_progress(0.0, finding(self.settings.models))
            self._begin()
            known = self.journal.records.keys()
            works = self.coster.workloads
            missing = [work for work in works if not known >= set(self.coster.keys(work))]
            for number, work in enumerate(missing):
                report = partial(self._report, number / len(missing), 1 / len(missing))
                self.journal.store(self.coster.records_of(work, report))
            self._on_progress(1.0, "done")
        return list(self.journal.records.values())

    def _report(self, begun: float, part: float, share: float, label: str) -> None:
        self._on_progress(begun + part * share, label)

    def _begin(self) -> None:
        """Agree with the folder on the settings, and take its records up."""
        import torch

        self.coster.check()
        parents = self.coster.parents
        prints = [parent.digest for parent in parents]
        asked = {"widthwise": __version__, **asdict(self.settings), "weights": prints}
        asked["threads"] = torch.get_num_threads()
        begun = self.journal.agree(json.loads(json.dumps(asked)), choosing=("workloads",))
        device = begun["device"] or parents[0].device
        begun |= {"device": device, "dtype": begun["dtype"] or default_dtype(device)}
        for parent in parents:
            parent.device, parent.dtype = checked_device(device), begun["dtype"]
        self.journal.begin(begun, [self.coster.keys(work) for work in self.coster.workloads])
