"""The jobs of a study, and the worker that does them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError, WidthwiseError
from .cost_benchmark import CostBenchmark
from .dense_model import DenseModel, ModelFiles
from .scorer import Scorer, ScoreResult
from .study_settings import StudySettings
from .variant import Variant

OnShare = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class ScoreJob:
    """One task, asked of one network of a model.

    Attributes:
        calibrating: Share of its time that calibration takes, where it is the first to need it.
    """

    model: str
    network: Variant
    task: str
    calibrating: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TimingJob:
    """One workload, timed on all widths of a model in turn."""

    model: str
    workload: str


Result = list[ScoreResult]


class StudyWorker:
    """Does the jobs of a study, and keeps the model of the last one loaded.

    Args:
        settings: Settings of the study, with a dtype and a device.
        folder: Folder of the study, where refits are kept if this machine sees it.
        device: Device that the executor has for it; a study on the CPU leaves a GPU alone.

    Raises:
        RunError: The study is one of another kind of device.
    """

    def __init__(self, settings: StudySettings, folder: Path, device: str) -> None:
        self._settings = settings
        self._folder = folder
        kind = str(settings.device).partition(":")[0]
        if kind not in ("cpu", device.partition(":")[0]):
            raise RunError(
                f"the study is for the device {settings.device}, and this worker has {device}"
            )
        self._device = "cpu" if kind == "cpu" else device
        self._parent: DenseModel | None = None
        self._scorer: Scorer | None = None
        self._benchmark: CostBenchmark | None = None

    def do(self, work: ScoreJob | TimingJob, on_share: OnShare) -> Result:
        """Do a job; what could not be measured is a record with its reason."""
        on_share(0.0, "loading")
        parent = self._at(work.model)
        if isinstance(work, ScoreJob):
            return self._ask(parent, work, on_share)
        return self._time(parent, work, on_share)

    def _at(self, model: str) -> DenseModel:
        """The parent of a job; another one is let go of first."""
        if self._parent is None or self._parent.model != model:
            self._parent = self._scorer = self._benchmark = None
            gc.collect()
            self._parent = parent_of(self._settings, model, self._device)
        return self._parent

    def _ask(self, parent: DenseModel, work: ScoreJob, on_share: OnShare) -> Result:
        self._benchmark = None  # its widths fill memory
        if self._scorer is None:
            self._scorer = Scorer(parent, self._settings.evaluation(parent.model), self._folder)
        task = self._scorer.tasks[work.task]
        first = work.calibrating
        with suppress(WidthwiseError):  # what goes wrong is the reason of each record
            self._scorer.prepare(work.network, lambda share, label: on_share(first * share, label))

        def report(share: float) -> None:
            on_share(first + (1 - first) * share, task.name)

        return [self._scorer.score(work.network, task, report)]

    def _time(self, parent: DenseModel, work: TimingJob, on_share: OnShare) -> Result:
        self._scorer = None
        if self._benchmark is None:
            self._benchmark = CostBenchmark([parent], self._settings.costs(parent.model))
        workload = next(w for w in self._benchmark.workloads if w.name == work.workload)
        try:
            records = self._benchmark.records_of(workload, on_share)
        except WidthwiseError as error:
            records = self._benchmark.missed(workload, str(error))
        return [ScoreResult(record=record) for record in records]


def parent_of(settings: StudySettings, model: str, device: str) -> DenseModel:
    """The parent of a study's model; records call it by the last part of its name."""
    return DenseModel(
        files=ModelFiles(model),
        dtype=settings.dtype,
        device=device,
        seed=settings.seeds[0],
        has_short_name=True,
    )
