"""A study: models at several widths, what they know and what they cost, on one machine or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from ..cut.checkpoint import finding
from ..errors import RunError, TargetError
from ..measure import PeakRates
from ..measure.energy import carbon_intensity
from ..runs import Event, Executor, MakeEngine, Processes, Run, WorkUnit
from .asking import Asking
from .calibration_stage import CalibrationStage
from .cell_study import CellStudy
from .cost_benchmark import CostBenchmark
from .dense_model import DenseModel, checked_device, with_place
from .records import Record
from .scorer import Scorer, ScoreResult, has_old_floor
from .study_settings import StudySettings
from .variant import DENSE, Variant
from .work_estimate import (
    CALIBRATING_READS,
    NOMINAL,
    Tokens,
    WorkEstimate,
    scoring,
    timing,
    tokens_of,
)
from .worker import ScoreJob, StudyWorker, TimingJob, parent_of

CHOOSING = ("models", "widths", "criteria", "tasks", "workloads", "weights")


@dataclass(frozen=True, kw_only=True)
class StudyUnit(WorkUnit):
    """The work of one cell, or of all cells of a workload, which belong together.

    Attributes:
        blanks: A record without a value for each cell.
        amount: Least amount of work.
        memory_bytes: Size of the weights that must be in memory together.
    """

    work: ScoreJob | TimingJob
    blanks: tuple[Record, ...]
    amount: WorkEstimate
    memory_bytes: int


class Study(CellStudy):
    """Measures the cells of a study that are missing, and keeps their records.

    Args:
        folder: Where records and items go; one that holds a part of this study is continued,
            and models, widths, criteria, tasks and workloads may be added to it.
        settings: Settings of the study.
        engine: Makes the executor of the work; None for one worker a device of this machine.
        on_record: Called with each record that this run adds.
        on_event: Called with each event of the executor, after its records are stored.
        on_progress: Called with what is being done before the workers start.

    Raises:
        RunError, OutputError: The folder holds something else, or is in use; no such device.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: StudySettings,
        *,
        engine: MakeEngine | None = None,
        on_record: Callable[[Record], None] = lambda _: None,
        on_event: Callable[[Event], None] = lambda _: None,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        device = (settings.device or "cpu").partition(":")[0]
        parents = (parent_of(settings, model, device) for model in settings.models)
        super().__init__(folder, parents, on_record)
        self.settings = settings
        self._calibrated: dict[str, CalibrationStage] = {}
        self._make_engine = engine
        self._on_event = on_event
        self._on_progress = on_progress

    def _measure(self) -> None:
        for parent in self.parents:
            self.store.add_missing(self._counted(parent))
            self._renew_floors(parent)
        if not self.missing:
            self._on_progress(f"{self.resumed}; nothing to measure")
            return
        device = f"{self.settings.device}, {self.settings.dtype}"
        self._on_progress(f"{self.resumed}; starting workers ({device})")
        with self._engine() as engine:
            self._run.do_by(engine, self._keep, self._give_up, self._on_event)

    def look(self) -> None:
        """Find models, data and what is measured, and write nothing."""
        self._begin(write=False)

    @property
    def resumed(self) -> str:
        """How much earlier runs have measured, in words."""
        total, missing = len(self.units), len(self.missing)
        if missing == total:
            return f"pieces to do: {total}"
        return f"pieces done: {total - missing} of {total}, left: {missing}"

    @property
    def missing(self) -> tuple[StudyUnit, ...]:
        """The units that are not measured; one of which no cell has a value is tried again."""
        return self._run.missing

    @property
    def to_calibrate(self) -> list[str]:
        """A sentence for each criterion and model that is calibrated before it is asked."""
        asked = (unit.work for unit in self.missing if isinstance(unit.work, ScoreJob))
        waiting = dict.fromkeys(job.model for job in asked if job.network.is_calibrated)
        stages = [(Path(model).name, self._calibrated[model]) for model in waiting]
        return [
            f"{name} of {model} is calibrated first, once, on {stage.text.tokens:,} tokens of "
            f"{stage.text.source}, {stage.time_text(name)}"
            for model, stage in stages
            for name in stage.to_make
        ]

    def share(self, shares: Mapping[str, float]) -> float:
        """Share of the work of this run that is done, 0 to 1.

        Args:
            shares: First cell of a unit to the share of it that is done.
        """
        return self._run.share(shares)

    def pace(self, ceilings: PeakRates) -> float | None:
        """Seconds that what is measured took for each second of its least time; None at first."""
        done = [unit for unit in self.units if self.store.is_done(unit.keys)]
        least = sum(unit.amount.least_sec(ceilings) for unit in done)
        records = (self.store.records[cell] for unit in done for cell in unit.keys)
        return sum(record.duration_sec for record in records) / least if least else None

    @cached_property
    def _run(self) -> Run[StudyUnit]:
        return Run(self.units, self.store, retry_failed=self._retry_failed)

    def _check_distinct(self, what: Literal["name", "digest"]) -> None:
        """Raise RunError where records could not tell two models apart."""
        seen: dict[str, str] = {}
        for parent in self.parents:
            other = seen.setdefault(getattr(parent, what), parent.model)
            if other != parent.model:
                same = f"both called {parent.name}" if what == "name" else "the same weights"
                raise RunError(
                    f"{other} and {parent.model} are {same}; records distinguish models by the "
                    "last part of their names and by their files, so rename one or leave it out"
                )

    @cached_property
    def units(self) -> tuple[StudyUnit, ...]:
        """All work of the study: model by model, what it is asked before what is timed."""
        return tuple(unit for parent in self.parents for unit in self._units_of(parent))

    def _begin(self, *, write: bool = True) -> None:
        self._check()
        self._on_progress(finding(self.settings.models))
        self._check_distinct("name")
        for parent in self.parents:
            asking = Asking(parent, thinking=self.settings.thinking)
            asking.refuse_early()
            self._networks(parent)  # a width out of range is said before all else
            parent.check()
            if self.settings.tasks:
                asking.check_template(self.settings.tasks)
        self._check_distinct("digest")
        asked = {**self.settings.stored, "weights": {p.model: p.digest for p in self.parents}}
        agreed = with_place(self.store.agree_on(asked, choosing=CHOOSING))
        kind = agreed["device"].partition(":")[0]
        self.parents = tuple(parent.at(agreed["dtype"], kind) for parent in self.parents)
        self.settings = replace(self.settings, device=agreed["device"], dtype=agreed["dtype"])
        if self._make_engine is None:
            devices_of(agreed["device"])  # of the folder, where this run leaves it open
        self._on_progress("finding the data, fetched at first use")
        groups = [unit.keys for unit in self.units]
        counted = [(record.cell,) for parent in self.parents for record in self._counted(parent)]
        self.store.begin(agreed, [*counted, *groups], write=write)

    def _check(self) -> None:
        """Refuse what can be refused before a model is looked for."""
        self.store.agree_on(self.settings.stored, choosing=CHOOSING)
        if self.settings.tasks:
            self.settings.evaluation(self.settings.models[0]).check()
        if self.settings.workloads and self.settings.country is not None:
            carbon_intensity(self.settings.country)
        if self._make_engine is None and self.settings.device is not None:
            devices_of(self.settings.device)  # which loads torch, so it comes last

    def _networks(self, parent: DenseModel) -> tuple[Variant, ...]:
        try:
            return parent.networks(self.settings.widths, self.settings.all_criteria)
        except TargetError as error:
            raise TargetError(f"{parent.name}: {error}") from error

    def _counted(self, parent: DenseModel) -> Iterator[Record]:
        for network in self._networks(parent):
            yield from parent.counted(network)

    def _renew_floors(self, parent: DenseModel) -> None:
        """Give what an earlier version measured the floors that are counted now."""
        records = [record for record in self.records if record.model == parent.name]
        if any(map(has_old_floor, records)):
            self._on_progress(f"{parent.name}: floors, which an older version counted otherwise")
            settings = self.settings.evaluation(parent.model)
            scorer = Scorer(parent, settings, self.store.folder.path)
            self.store.add(scorer.with_new_floors(records))

    def _units_of(self, parent: DenseModel) -> Iterator[StudyUnit]:
        if self.settings.tasks:
            yield from self._score_units(parent)
        if self.settings.workloads:
            yield from self._timing_units(parent)

    def _score_units(self, parent: DenseModel) -> Iterator[StudyUnit]:
        """Every task, of every network of a model."""
        settings = self.settings.evaluation(parent.model)
        scorer = Scorer(parent, settings, self.store.folder.path)
        scorer.check()
        self._calibrated[parent.model] = scorer.calibrated
        architecture = parent.checkpoint.architecture
        memory = parent.weight_bytes(DENSE)  # all widths are parts of it
        read = Tokens(read=settings.tokens * CALIBRATING_READS, written=0)
        whole = parent.width(DENSE)
        to_calibrate = dict.fromkeys(
            scorer.calibrated.to_make,
            scoring(architecture, whole, read, parent.stored_dtype).least_sec(NOMINAL),
        )
        for task in scorer.tasks.values():
            tokens = tokens_of(task, parent.tokenizer)
            for network in self._networks(parent):
                width = parent.width(network)
                blank = scorer.blank(network, task, "not measured")
                amount = scoring(architecture, width, tokens, parent.stored_dtype)
                cost, first = amount.least_sec(NOMINAL), 0.0
                if network.is_calibrated:  # the first piece that needs a criterion's text reads it
                    first = to_calibrate.pop(scorer.calibrated.name_of(network), 0.0)
                yield StudyUnit(
                    keys=(blank.cell,),
                    label=f"{parent.name}, {network.label}: {task.name}",
                    work=ScoreJob(
                        model=parent.model,
                        network=network,
                        task=task.name,
                        calibrating=first and first / (first + cost),
                    ),
                    cost=first + cost,
                    blanks=(blank,),
                    amount=amount,
                    memory_bytes=memory,
                )

    def _timing_units(self, parent: DenseModel) -> Iterator[StudyUnit]:
        """Every workload, on all widths of a model."""
        settings = self.settings.costs(parent.model)
        benchmark = CostBenchmark([parent], settings)
        benchmark.check()
        architecture = parent.checkpoint.architecture
        widths = [parent.width(network) for _, network in benchmark.entries]
        memory = sum(parent.weight_bytes(network) for _, network in benchmark.entries)
        for work in benchmark.workloads:
            blanks = tuple(benchmark.missed(work, "not measured"))
            amount = timing(architecture, widths, work, settings.rounds, parent.stored_dtype)
            yield StudyUnit(
                keys=tuple(blank.cell for blank in blanks),
                label=f"{parent.name}, {len(widths)} widths: {work.name}",
                work=TimingJob(model=parent.model, workload=work.name),
                cost=amount.least_sec(NOMINAL),
                alone=True,
                blanks=blanks,
                amount=amount,
                memory_bytes=memory,
            )

    def _engine(self) -> Executor:
        make = partial(StudyWorker, self.settings, self.store.folder.path.absolute())
        if self._make_engine is not None:
            return self._make_engine(make)
        return Processes(make, devices_of(str(self.settings.device)))

    def _keep(self, unit: StudyUnit, results: Sequence[ScoreResult]) -> None:
        """Store what a worker measured, if it measured what it was to."""
        if tuple(result.record.cell for result in results) != unit.keys:
            self._give_up(unit, "the worker has other weights, documents or versions")
        else:
            self.store.keep(results)

    def _give_up(self, unit: StudyUnit, reason: str) -> None:
        self.store.add([replace(blank, reason=reason) for blank in unit.blanks])


def devices_of(device: str) -> tuple[str, ...]:
    """One name a worker: of `"cuda"` all GPUs of this machine, else the device itself.

    Raises:
        RunError: There is no such device.
    """
    import torch

    if device == "cuda" and torch.cuda.is_available():
        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return (checked_device(device),)
