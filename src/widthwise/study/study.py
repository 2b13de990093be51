"""A study: models at several widths, what they know and what they cost, on one machine or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from .. import __version__
from ..cut.checkpoint import finding
from ..errors import RunError, TargetError
from ..measure import PeakRates
from ..measure.energy import carbon_intensity
from ..runs import Event, Executor, Failed, Finished, Job, Processes, WorkerFactory
from .calibration_stage import CalibrationStage
from .cost_benchmark import CostBenchmark
from .dense_model import DenseModel, checked_device, default_device, default_dtype
from .records import Record
from .scorer import Scorer, ScoreResult, has_old_floor
from .store import StudyStore
from .study_settings import StudySettings
from .variant import Variant
from .work_estimate import NOMINAL, WorkEstimate, scoring, timing, tokens_of
from .worker import ScoreJob, StudyWorker, TimingJob, parent_of

MakeEngine = Callable[[WorkerFactory], Executor]
CHOOSING = ("models", "widths", "criteria", "tasks", "workloads", "weights")


@dataclass(frozen=True, kw_only=True)
class WorkUnit:
    """What one worker does at a time: a cell, or those of a workload, which belong together.

    Attributes:
        label: For people.
        work: What to do.
        blanks: A record without a value for each cell.
        amount: Of work.
        memory_bytes: Of the weights that must be in memory together.
    """

    label: str
    work: ScoreJob | TimingJob
    blanks: tuple[Record, ...]
    amount: WorkEstimate
    memory_bytes: int

    @property
    def cells(self) -> tuple[str, ...]:
        """Their keys."""
        return tuple(blank.cell for blank in self.blanks)


class Study:
    """Measures the cells of a study that are missing, and keeps their records.

    Args:
        folder: Where records and items go; one that holds a part of this study is gone on with,
            and models, widths, criteria, tasks and workloads may be added to it.
        settings: What to measure.
        engine: Makes the engine that does the work; None for a worker a device of this machine.
        on_record: Called with each record that this run adds.
        on_event: Called with each event of the engine, after its records are stored.
        on_progress: Called with what is being done before the engine starts.

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
        self.settings = settings
        self.journal = StudyStore(folder, self._recorded)
        self._on_record = on_record
        self._calibrated: dict[str, CalibrationStage] = {}
        self._is_running = False
        self._make_engine = engine
        self._on_event = on_event
        self._on_progress = on_progress

    def run(self) -> list[Record]:
        """Measure what is missing and return all records.

        Raises:
            RunError, OutputError: Something that no cell can be measured without is missing.
        """
        with self.journal.held():
            self._begin(write=True)
            self._is_running = True
            for parent in self.parents:
                self._count(parent)
                self._renew_floors(parent)
            if not self.missing:
                self._on_progress(f"{self.resumed}; nothing to measure")
            else:
                place = f"{self.settings.device}, {self.settings.dtype}"
                self._on_progress(f"{self.resumed}; starting workers ({place})")
                with self._engine() as engine:
                    self._work(engine)
        return self.records

    def _recorded(self, record: Record) -> None:
        if self._is_running:  # what an earlier run has measured is not told again
            self._on_record(record)

    def look(self) -> None:
        """Find models, data and what is measured, and write nothing."""
        self._begin(write=False)

    @property
    def records(self) -> list[Record]:
        """Of the study's cells, as far as they are measured."""
        return list(self.journal.records.values())

    @property
    def resumed(self) -> str:
        """What an earlier run has measured, in words."""
        total, missing = len(self.pieces), len(self.missing)
        if missing == total:
            return f"pieces to do: {total}"
        return f"pieces done: {total - missing} of {total}, left: {missing}"

    @property
    def missing(self) -> list[WorkUnit]:
        """Pieces that are not measured; one of which nothing could be had is tried again."""
        return [p for p in self.pieces if not any(map(self.journal.has, p.cells))]

    @property
    def to_calibrate(self) -> list[str]:
        """A sentence for each criterion and model that is calibrated before it is asked."""
        waiting: dict[tuple[str, str], str] = {}
        for piece in self.missing:
            if isinstance(piece.work, ScoreJob) and piece.work.network.is_calibrated:
                calibrated = self._calibrated[piece.work.model]
                for name in calibrated.to_make:
                    told = f"{name} of {Path(piece.work.model).name}"
                    text = f"on {calibrated.text.tokens:,} tokens of {calibrated.text.source}"
                    waiting[piece.work.model, name] = f"{told} is calibrated first, once, {text}"
        return list(waiting.values())

    def share(self, begun: Mapping[str, float]) -> float:
        """Share of the work of this run that is done, 0 to 1.

        Args:
            begun: First cell of a piece to the share of it that is done.
        """
        work = {piece.cells[0]: piece.amount.least_sec(NOMINAL) for piece in self._to_do}
        whole = sum(work.values())
        return sum(work[key] * share for key, share in begun.items()) / whole if whole else 1.0

    def pace(self, ceilings: PeakRates) -> float | None:
        """Seconds that what is measured took for each second of its least time; None at first."""
        done = [p for p in self.pieces if any(map(self.journal.has, p.cells))]
        least = sum(piece.amount.least_sec(ceilings) for piece in done)
        records = (self.journal.records[cell] for piece in done for cell in piece.cells)
        return sum(record.duration_sec for record in records) / least if least else None

    @cached_property
    def _to_do(self) -> list[WorkUnit]:
        """Pieces that were missing when the workers started."""
        return self.missing

    @cached_property
    def parents(self) -> tuple[DenseModel, ...]:
        """The models, by the names that records call them."""
        settings = self.settings
        device = (settings.device or default_device()).partition(":")[0]
        found = tuple(parent_of(settings, model, device) for model in settings.models)
        for what in ("name", "digest"):
            seen: dict[str, str] = {}
            for parent in found:
                other = seen.setdefault(getattr(parent, what), parent.model)
                if other != parent.model:
                    same = f"both called {parent.name}" if what == "name" else "the same weights"
                    raise RunError(
                        f"{other} and {parent.model} are {same}; records tell models "
                        "apart by the last part of their names and by their files"
                    )
        return found

    @cached_property
    def pieces(self) -> tuple[WorkUnit, ...]:
        """All work of the study: model by model, what it is asked before what is timed."""
        return tuple(piece for parent in self.parents for piece in self._pieces_of(parent))

    def _begin(self, *, write: bool) -> None:
        """Agree with the folder on the settings, and take its records up."""
        self._check()
        self._on_progress(finding(self.settings.models))
        for parent in self.parents:
            parent.check()
            if self.settings.tasks:
                parent.tokenizer  # noqa: B018  what cannot be read is said before all work
        weights = {parent.model: parent.digest for parent in self.parents}
        asked = {"widthwise": __version__, **self.settings.stored, "weights": weights}
        begun = self.journal.agree(asked, choosing=CHOOSING)
        device = begun["device"] or default_device()
        begun |= {"device": device, "dtype": begun["dtype"] or default_dtype(device)}
        self.settings = replace(self.settings, device=device, dtype=begun["dtype"])
        if self._make_engine is None:
            devices_of(device)  # of the folder, where this run leaves it open
        for parent in self.parents:
            parent.dtype, parent.device = begun["dtype"], device.partition(":")[0]
        self._on_progress("finding the data, fetched at first use")
        groups = [piece.cells for piece in self.pieces]
        counted = [[record.cell] for parent in self.parents for record in self._counts_of(parent)]
        self.journal.begin(begun, [*counted, *groups], write=write)

    def _check(self) -> None:
        """Refuse what can be refused before a model is looked for."""
        asked = {"widthwise": __version__, **self.settings.stored}
        self.journal.agree(asked, choosing=CHOOSING)
        if self._make_engine is None:
            devices_of(self.settings.device or default_device())
        if self.settings.tasks:
            self.settings.sweep(self.settings.models[0]).check()
        if self.settings.workloads and self.settings.country is not None:
            carbon_intensity(self.settings.country)

    def _networks(self, parent: DenseModel) -> tuple[Variant, ...]:
        try:
            return parent.networks(self.settings.widths, self.settings.all_criteria)
        except TargetError as error:
            raise TargetError(f"{parent.name}: {error}") from error

    def _counts_of(self, parent: DenseModel) -> Iterator[Record]:
        for network in self._networks(parent):
            yield from parent.counted(network)

    def _count(self, parent: DenseModel) -> None:
        """Store exact parameters and bytes, where they are missing."""
        found = [r for r in self._counts_of(parent) if not self.journal.has(r.cell)]
        if found:
            self.journal.store(found)

    def _renew_floors(self, parent: DenseModel) -> None:
        """Give what an earlier version measured the floors that are counted now."""
        records = [r for r in self.journal.records.values() if r.model == parent.name]
        if any(map(has_old_floor, records)):
            self._on_progress(f"{parent.name}: floors, which an older version counted otherwise")
            settings = self.settings.sweep(parent.model)
            scorer = Scorer(parent, settings, self.journal.folder)
            self.journal.store(scorer.with_new_floors(records))

    def _pieces_of(self, parent: DenseModel) -> Iterator[WorkUnit]:
        if self.settings.tasks:
            yield from self._asked(parent)
        if self.settings.workloads:
            yield from self._timed(parent)

    def _asked(self, parent: DenseModel) -> Iterator[WorkUnit]:
        """Every task, of every network of a model."""
        settings = self.settings.sweep(parent.model)
        scorer = Scorer(parent, settings, self.journal.folder)
        scorer.check()
        self._calibrated[parent.model] = scorer.calibrated
        architecture = parent.checkpoint.architecture
        memory = parent.weight_bytes(Variant(None, "dense"))  # all widths are parts of it
        for task in scorer.tasks.values():
            tokens = tokens_of(task, parent.tokenizer)
            for network in self._networks(parent):
                width = parent.width(network)
                blank = scorer.blank(network, task, "not measured")
                yield WorkUnit(
                    label=f"{parent.name}, {network.label}: {task.name}",
                    work=ScoreJob(model=parent.model, network=network, task=task.name),
                    blanks=(blank,),
                    amount=scoring(architecture, width, tokens, parent.stored_dtype),
                    memory_bytes=memory,
                )

    def _timed(self, parent: DenseModel) -> Iterator[WorkUnit]:
        """Every workload, on all widths of a model."""
        settings = self.settings.costs(parent.model)
        coster = CostBenchmark([parent], settings)
        coster.check()
        architecture = parent.checkpoint.architecture
        widths = [parent.width(network) for _, network in coster.entries]
        memory = sum(parent.weight_bytes(network) for _, network in coster.entries)
        for work in coster.workloads:
            yield WorkUnit(
                label=f"{parent.name}, {len(widths)} widths: {work.name}",
                work=TimingJob(model=parent.model, workload=work.name),
                blanks=tuple(coster.missed(work, "not measured")),
                amount=timing(architecture, widths, work, settings.rounds, parent.stored_dtype),
                memory_bytes=memory,
            )

    def _engine(self) -> Executor:
        make = partial(StudyWorker, self.settings, self.journal.folder.absolute())
        if self._make_engine is not None:
            return self._make_engine(make)
        return Processes(make, devices_of(str(self.settings.device)))

    def _work(self, engine: Executor) -> None:
        """Do all pieces that are missing; what comes back is on disk before it is told."""
        pieces = {piece.cells[0]: piece for piece in self._to_do}
        jobs = [
            Job(
                key=key, label=piece.label, work=piece.work, alone=isinstance(piece.work, TimingJob)
            )
            for key, piece in pieces.items()
        ]
        for event in engine.run(jobs):
            piece = pieces[event.job.key]
            if isinstance(event, Finished):
                self._keep(piece, event.result)
            elif isinstance(event, Failed):
                self._give_up(piece, event.reason)
            self._on_event(event)

    def _keep(self, piece: WorkUnit, results: Sequence[ScoreResult]) -> None:
        """Store what a worker measured, if it measured what it was to."""
        if tuple(result.record.cell for result in results) != piece.cells:
            return self._give_up(piece, "the worker has other weights, documents or versions")
        if isinstance(piece.work, ScoreJob):
            return self.journal.keep(results[0])
        self.journal.store([result.record for result in results])

    def _give_up(self, piece: WorkUnit, reason: str) -> None:
        self.journal.store([replace(blank, reason=reason) for blank in piece.blanks])


def devices_of(device: str) -> tuple[str, ...]:
    """One name a worker: of `"cuda"` all GPUs of this machine, else the device itself.

    Raises:
        RunError: There is no such device.
    """
    import torch

    if device == "cuda" and torch.cuda.is_available():
        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return (checked_device(device),)
