"""An evaluation: every task at every width, each cell once, from one loaded dense model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cut.checkpoint import finding
from ..errors import WidthwiseError
from ..evaluate import Task, TaskAnswer, sequential_answers
from ..runs import ProgressCallback, Run, WorkUnit
from .asking import Asking
from .cell_study import CellStudy
from .continuations import (
    Continuation,
    check_prompts,
    continuations_in,
    write_continuations,
)
from .dense_model import DenseModel, ModelFiles, checked_device, with_place
from .evaluate_settings import EvaluateSettings
from .records import Record
from .scorer import Scorer, has_old_floor
from .variant import SCALES, Variant, with_control

_WRITING = 4.0  # time to write a token, in characters read: both go on many at a time
_CALIBRATING = 50.0  # time to calibrate on a token, in characters read
_SCALING = 5  # times as long as a calibration: one that is followed by scales
CHOOSING = ("tasks", "widths", "criteria")  # settings that change no number


class Evaluation(CellStudy):
    """Measures the cells of an evaluation that are missing, one task after the other.

    Args:
        folder: Where records and items go; one that holds a part of this evaluation is
            continued.
        settings: Settings of the evaluation.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of this run that is done (0 to 1), and what is done now.
        against: An evaluation of another model on the same tasks, which has been run: answers are
            compared with that model's, where tokens are the same, and not with the dense one's. Its
            model is in memory beside this one.

    Raises:
        RunError, OutputError: The folder holds something else, or is in use; no such device.
    """

    def __init__(
        self,
        folder: Path,
        settings: EvaluateSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: ProgressCallback = lambda *_: None,
        against: Evaluation | None = None,
    ) -> None:
        parent = DenseModel(
            files=ModelFiles(settings.model),
            dtype=settings.dtype,
            device=settings.device or "cpu",
            seed=settings.seed,
        )
        super().__init__(folder, [parent], on_record)
        self.settings = settings
        self.on_progress = on_progress
        self._against = against

    @property
    def parent(self) -> DenseModel:
        return self.parents[0]

    @cached_property
    def scorer(self) -> Scorer:
        """Asks the tasks, once the model has a dtype and a device."""
        folder = self.store.folder.path
        against = None if self._against is None else self._against.scorer
        return Scorer(self.parent, self.settings, folder, also=self.more_settings, against=against)

    @property
    def more_settings(self) -> dict[str, Any]:
        """Further settings of the folder: the other model, and what a subclass measures."""
        return {} if self._against is None else {"against": self._against.parent.digest}

    def more_quantities(self, network: Variant) -> Sequence[str]:
        """The quantities of a network that a subclass measures."""
        return ()

    def _begin(self) -> None:
        asked = {**self.settings.stored, **self.more_settings}
        self.store.agree_on(asked, choosing=CHOOSING)  # before a model is fetched for nothing
        continuations_in(self.store.folder.path)  # a line that is none is told before the work
        self.settings.check()
        if self.settings.device is not None:
            checked_device(self.settings.device)  # which loads torch, so it comes last
        self.on_progress(0.0, finding([self.settings.model]))
        asking = Asking(self.parent, thinking=self.settings.thinking)
        asking.refuse_early()
        self.networks  # noqa: B018  a width out of range is said before anything is loaded
        self.parent.check()
        asking.check_template(self.settings.tasks)  # of the tokenizer, so that is read as well
        check_prompts(self.parent, self.settings.prompts)
        asked["weights"] = self.parent.digest
        agreed = with_place(self.store.agree_on(asked, choosing=CHOOSING))
        self.parents = (self.parent.at(agreed["dtype"], checked_device(agreed["device"])),)
        self.on_progress(0.0, "finding the data, fetched at first use")
        self.scorer.check()
        keys = [record.cell for record in self._counted()]
        for network in self.networks:
            quantities = (*self.scorer.tasks, *self.more_quantities(network))
            keys += [self.scorer.key(network, quantity) for quantity in quantities]
        self.store.begin(agreed, [(key,) for key in keys])
        self.store.tell()

    def _measure(self) -> None:
        self.evaluate()
        self.write_texts(self.networks)
        self.on_progress(1.0, "done")

    def _counted(self) -> Iterator[Record]:
        for network in self.networks:
            yield from self.parent.counted(network)

    @cached_property
    def networks(self) -> tuple[Variant, ...]:
        """Dense first, then from wide to narrow by each criterion, the control last."""
        return self.parent.networks(self.settings.widths, with_control(self.settings.criteria))

    def evaluate(self) -> None:
        """Measure every task at every width, as far as it is missing."""
        self.store.add_missing(self._counted())
        self._renew_floors()
        run = Run(self._units(), self.store, retry_failed=self._retry_failed)
        if run.to_do:
            self.on_progress(0.0, "loading the model")
            self.scorer.try_out(self.networks[0])  # no cell could tell better that it cannot be
        run.do_here(self._score, self.on_progress)

    def write_texts(self, networks: Sequence[Variant]) -> None:
        """Have these networks go on with the prompts, as far as they have not."""
        folder, told = self.store.folder.path, lambda label: self.on_progress(1.0, label)
        write_continuations(folder, self.scorer, networks, self.settings.prompts, told)

    @property
    def texts(self) -> tuple[Continuation, ...]:
        """What networks wrote after the prompts that are asked for now."""
        found = continuations_in(self.store.folder.path)
        places = {(network.criterion, network.asked) for network in self.networks}
        prompts = self.settings.prompts
        return tuple(t for t in found if t.prompt in prompts and (t.criterion, t.asked) in places)

    def is_done(self, network: Variant, quantity: str) -> bool:
        """Whether this cell is measured; one whose value is missing is tried again."""
        key = self.scorer.key(network, quantity)
        return self.store.is_done([key], retry_failed=self._retry_failed)

    def add(self, network: Variant, quantity: str, **fields: Any) -> None:
        """Append the record of a cell; `fields` are those of `Record` that the cell decides."""
        self.store.add([self.scorer.record(network, quantity, **fields)])

    def _renew_floors(self) -> None:
        """Give what an earlier version measured the floors that are counted now."""
        old = [record for record in self.records if has_old_floor(record)]
        if old:
            self.on_progress(0.0, "floors, which an older version counted otherwise")
            self.store.add(self.scorer.with_new_floors(old))

    def _units(self) -> Iterator[WorkUnit]:
        """A unit for each task and network; with `until`, for each task and what is missing."""
        to_calibrate = set(self.scorer.calibrated.to_make)
        for task in self.scorer.tasks.values():
            cost = sum(map(len, task.texts)) + _WRITING * sum(task.new_tokens)
            missing = [n for n in self.networks if not self.is_done(n, task.name)]
            groups = [[n] for n in missing] if self.settings.until is None else [missing]
            for networks in filter(None, groups):
                names = {self.scorer.calibrated.name_of(n) for n in networks if n.is_calibrated}
                times = sum(_SCALING if SCALES in name else 1 for name in names & to_calibrate)
                calibrating = _CALIBRATING * self.settings.tokens * times
                to_calibrate -= names
                yield WorkUnit(
                    keys=tuple(self.scorer.key(network, task.name) for network in networks),
                    label=f"{task.name}: floor",
                    work=(networks, task, calibrating),
                    cost=cost * len(networks) + calibrating,
                )

    def _score(self, unit: WorkUnit, report: ProgressCallback) -> None:
        """Do a unit: calibrate where it is the first one to need that, and ask the task."""
        networks, task, calibrating = unit.work
        first = calibrating / unit.cost
        self.scorer.floor(task)
        for network in networks:
            with suppress(WidthwiseError):  # what goes wrong is then a reason for a record
                self.scorer.prepare(network, lambda share, label: report(first * share, label))

        def report_asked(network: Variant, share: float) -> None:
            name = f"{network.label}: " if len(self.networks) > 1 else ""  # one network needs none
            report(first + (1 - first) * share, f"{name}{task.name}")

        if self.settings.until is not None:
            return self._score_until(self.settings.until, task, networks, report_asked)
        (network,) = networks
        report_asked(network, 0.0)
        result = self.scorer.score(network, task, lambda share: report_asked(network, share))
        self.store.keep([result])

    def _score_until(
        self,
        half_width: float,
        task: Task,
        missing: Sequence[Variant],
        report: Callable[[Variant, float], None],
    ) -> None:
        """One task at all widths in turn, a few items at a time, until each is certain enough.

        What is measured already is asked again only to compare with it, and not stored again: the
        dense model for every other, and all others to know where the dense model stops.
        """
        dense = self.networks[0]
        asked = self.networks if dense in missing else (dense, *missing)
        start, done, items = time.perf_counter(), 0, len(task.item_ids) * len(asked)

        def ask(network: Variant, part: Task) -> Sequence[TaskAnswer] | None:
            nonlocal done
            n = len(part.item_ids)
            try:
                return self.scorer.answers(
                    network, part, lambda share: report(network, (done + share * n) / items)
                )
            except WidthwiseError as error:
                if network in missing:
                    self.store.keep([self.scorer.missed(network, task, error)])
                return None
            finally:
                done += n

        found = sequential_answers(task, asked, half_width, ask, seed=self.settings.seed)
        seconds = (time.perf_counter() - start) / len(asked)
        for network, answers in found.items():
            if network in missing:
                cost = {"seconds": seconds, "until": half_width}
                self.store.keep([self.scorer.scored(network, task, answers, **cost)])
