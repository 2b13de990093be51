"""A sweep over widths: every task at every width, each cell once, from one loaded parent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__
from ..cut.checkpoint import finding
from ..errors import WidthwiseError
from ..evaluate import SequentialEvaluation, Task
from .dense_model import DenseModel, checked_device, default_device, default_dtype
from .evaluate_settings import EvaluateSettings
from .records import Record
from .scorer import Scorer, has_old_floor
from .store import StudyStore
from .variant import CONTROL, Variant

Progress = Callable[[float, str], None]
_WRITING = 4.0  # time to write a token, in characters read: both go on many at a time
_CALIBRATING = 50.0  # time to calibrate on a token, in characters read
CHOOSING = ("tasks", "widths", "criteria")  # settings that change no number


class Evaluation:
    """Runs the cells of a sweep that are not yet measured, one task after the other.

    Args:
        folder: Where records and items go; one that holds a part of this sweep is gone on with.
        settings: What to measure.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of the work done (0 to 1) and what is being done.
        also: Further settings that the folder's study is begun with.
        also_measured: The quantities of a network that the caller stores in the same folder.

    Raises:
        RunError, OutputError: The folder holds something else, or is in use; no such device.
    """

    def __init__(
        self,
        folder: Path,
        settings: EvaluateSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: Progress = lambda *_: None,
        also: Mapping[str, Any] | None = None,
        also_measured: Callable[[Variant], Sequence[str]] = lambda _: (),
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.parent = DenseModel(
            settings.model,
            dtype=settings.dtype,
            device=checked_device(settings.device or default_device()),
            seed=settings.seed,
        )
        self.on_progress = on_progress
        self.scorer = Scorer(self.parent, settings, folder, also=also)
        self.journal = StudyStore(folder, on_record)
        self._also = dict(also or {})
        self._also_measured = also_measured
        self._spent = self._calibrating = 0.0
        self._is_tried = False

    @property
    def records(self) -> list[Record]:
        """Of this sweep's cells, as far as they are measured."""
        return list(self.journal.records.values())

    def run(self) -> list[Record]:
        """Measure what is missing and return all records."""
        with self.opened():
            self.evaluate()
            self.on_progress(1.0, "done")
        return self.records

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder, look at everything that the run needs, and load what was measured."""
        with self.journal.held():
            self.settings.check()
            asked = {"widthwise": __version__, **self.settings.stored, **self._also}
            self.journal.agree(asked, choosing=CHOOSING)  # before a model is fetched for nothing
            self.on_progress(0.0, finding([self.settings.model]))
            self.networks  # noqa: B018  a width out of range is said before anything is loaded
            self.parent.check()
            self.parent.tokenizer  # noqa: B018  as what cannot be read is
            asked["weights"] = self.parent.digest
            begun = self.journal.agree(asked, choosing=CHOOSING)
            if begun["dtype"] is None:
                begun["dtype"] = default_dtype(self.parent.device)
            if begun["device"] is None:
                begun["device"] = self.parent.device
            self.parent.dtype, self.parent.device = begun["dtype"], checked_device(begun["device"])
            self.on_progress(0.0, "finding the data, fetched at first use")
            self.scorer.check()
            keys = [r.cell for network in self.networks for r in self.parent.counted(network)]
            for network in self.networks:
                quantities = (*self.scorer.tasks, *self._also_measured(network))
                keys += [self.scorer.key(network, quantity) for quantity in quantities]
            self.journal.begin(begun, [(key,) for key in keys])
            yield

    @cached_property
    def networks(self) -> tuple[Variant, ...]:
        """Dense first, then from wide to narrow by each criterion, the control last."""
        criteria = list(dict.fromkeys(self.settings.criteria))
        if not any(Variant(criterion, "1").is_control for criterion in criteria):
            criteria.append(CONTROL)
        return self.parent.networks(self.settings.widths, criteria)

    def evaluate(self) -> None:
        """Measure every task at every width, as far as it is missing."""
        counted = [record for network in self.networks for record in self.parent.counted(network)]
        self.journal.store([record for record in counted if not self.journal.has(record.cell)])
        for task in self.scorer.tasks.values():
            missing = [network for network in self.networks if not self.has(network, task.name)]
            self._renew_floors(task)
            after = self._spent + self._costs[task.name] * len(self.networks)
            if missing:
                self._try_out()
                self._spent = after - self._costs[task.name] * len(missing)
                self._evaluate(task, missing)
            self._spent = after

    def _try_out(self) -> None:
        """Load the model, and see once that it can be asked at all.

        Raises:
            WidthwiseError: It cannot, which no cell could tell better.
        """
        if not self._is_tried:
            self.on_progress(self.share, "loading the model")
            self.scorer.try_out(self.networks[0])
            self._is_tried = True

    def _evaluate(self, task: Task, missing: Sequence[Variant]) -> None:
        """Measure one task at the widths where it is missing."""
        self._count_floor(task)
        if self.settings.until is not None:
            return self._score_until(self.settings.until, task, missing)
        for network in missing:
            self._calibrate(network)
            with self._reported(network, task) as report:
                self.journal.keep(self.scorer.score(network, task, report))

    def _renew_floors(self, task: Task) -> None:
        """Give what an earlier version measured the floor that is counted now."""
        keys = (self.scorer.key(network, task.name) for network in self.networks)
        old = [r for key in keys if (r := self.journal.records.get(key)) and has_old_floor(r)]
        if old:
            self._count_floor(task)
            self.journal.store(self.scorer.with_new_floors(old))

    def _count_floor(self, task: Task) -> None:
        self.on_progress(self.share, f"{task.name}: floor")
        self.scorer.floor(task)

    def has(self, network: Variant, quantity: str) -> bool:
        """Whether this cell is measured; one whose value is missing is tried again."""
        return self.journal.has(self.scorer.key(network, quantity))

    def store(self, network: Variant, quantity: str, **fields: Any) -> None:
        """Append the record of a cell; `fields` are those of `Record` that the cell decides."""
        self.journal.store([self.scorer.record(network, quantity, **fields)])

    @property
    def share(self) -> float:
        """Share of the work of all tasks that is done."""
        whole = sum(self._costs.values()) * len(self.networks)
        whole += self._calibration_cost * self._to_calibrate
        return min(1.0, (self._spent + self._calibrating) / whole) if whole else 0.0

    def _score_until(self, half_width: float, task: Task, missing: Sequence[Variant]) -> None:
        """One task at all widths in turn, a few items at a time, until each is certain enough.

        What is measured already is asked again only to compare with it, and not stored again: the
        dense model for every other, and all others to know where the dense model stops.
        """
        dense = self.networks[0]
        asked = self.networks if dense in missing else (dense, *missing)
        for network in asked:
            self._calibrate(network)
        start = time.perf_counter()
        steps = SequentialEvaluation(task, asked, half_width, seed=self.settings.seed)
        for network, part in steps:
            try:
                with self._reported(network, part) as report:
                    steps.add(network, self.scorer.answers(network, part, report))
            except WidthwiseError as error:
                steps.drop(network)
                if network in missing:
                    self.journal.keep(self.scorer.missed(network, task, error))
        seconds = (time.perf_counter() - start) / len(asked)
        for network, answers in steps.answers.items():
            if network in missing:
                told = {"seconds": seconds, "until": half_width}
                self.journal.keep(self.scorer.scored(network, task, answers, **told))

    def _calibrate(self, network: Variant) -> None:
        """Calibrate, where the network needs it; what goes wrong is then a reason for a record."""
        begun = self._calibrating

        def report(share: float, label: str) -> None:
            self._calibrating = begun + share * self._calibration_cost
            self.on_progress(self.share, label)

        with suppress(WidthwiseError):
            self.scorer.prepare(network, report)

    @contextmanager
    def _reported(self, network: Variant, task: Task) -> Iterator[Callable[[float], None]]:
        """Reports progress on a task, or a part of it, while open."""
        begun = self._spent
        items = len(self.scorer.tasks[task.name].item_ids)
        cost = self._costs[task.name] * len(task.item_ids) / items

        def report(share: float) -> None:
            self._spent = begun + cost * share
            name = f"{network.label}: " if len(self.networks) > 1 else ""  # of one, dense or not
            self.on_progress(self.share, f"{name}{task.name}")

        report(0.0)
        yield report
        self._spent = begun + cost

    @cached_property
    def _to_calibrate(self) -> int:
        """Criteria that were to be calibrated when the run began."""
        return len(self.scorer.calibrated.to_make)

    @property
    def _calibration_cost(self) -> float:
        return _CALIBRATING * self.settings.tokens

    @cached_property
    def _costs(self) -> dict[str, float]:
        """Task to the characters that a model reads or, at their price, writes for it."""
        return {name: sum(map(_cost, task.requests)) for name, task in self.scorer.tasks.items()}


def _cost(request: Any) -> float:
    settings = request.args[-1]
    if isinstance(settings, dict):
        return len(request.args[0]) + _WRITING * float(settings.get("max_gen_toks", 256))
    return float(sum(map(len, request.args)))
