"""What a model knows at every width: one parent, many tasks, the same items for all."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__
from ..arch import counts_at
from ..errors import WidthwiseError
from ..evaluate import (
    Answer,
    Floor,
    Score,
    Steps,
    Task,
    answer_task,
    chat_of,
    chosen_items,
    floor_of,
    language_model_of,
    load_tasks,
    require_vllm,
    score_answers,
    unit_of,
    vllm_model_of,
)
from ..prune import prune_checkpoint
from .folder import RECORDS, agreed_settings, locked, write_settings
from .items import write_items
from .parent import Network, Parent, checked_device, default_device, default_dtype
from .records import Record, append, load
from .settings import CONTROL, SweepSettings

Progress = Callable[[float, str], None]
_WRITING = 4.0  # time to write a token, in characters read: both go on many at a time


class Sweep:
    """Runs the cells of a sweep that are not yet measured, one task after the other.

    Args:
        folder: Where records and items go; one that holds a part of this sweep is gone on with.
        settings: What to measure.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of the work done (0 to 1) and what is being done.
        also: Further settings that the folder's study is begun with.
        also_measured: Quantities that the caller stores in the same folder.

    Raises:
        RunError, OutputError: The folder holds something else, or is in use; no such device.
    """

    def __init__(
        self,
        folder: Path,
        settings: SweepSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: Progress = lambda *_: None,
        also: Mapping[str, Any] | None = None,
        also_measured: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.parent = Parent(
            settings.model,
            dtype=settings.dtype,
            device=checked_device(settings.device or default_device()),
            seed=settings.seed,
        )
        self.records: dict[str, Record] = {}
        self.on_progress = on_progress
        self._also = dict(also or {})
        self._also_measured = tuple(also_measured)
        self._lm: Any = None
        self._on_record = on_record
        self._spent = 0.0

    def run(self) -> list[Record]:
        """Measure what is missing and return all records."""
        with self.opened():
            self.evaluate()
            self.on_progress(1.0, "done")
        return list(self.records.values())

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder, look at everything that the run needs, and load what was measured."""
        with locked(self.folder):
            self.on_progress(0.0, "finding the model, fetched at first use")
            self.networks  # noqa: B018  a width out of range is said before anything is loaded
            asked = {**asdict(self.settings), **self._also}
            weights = {"weights": self.parent.digest}
            begun = agreed_settings(self.folder, {"widthwise": __version__, **asked, **weights})
            if begun["dtype"] is None:
                begun["dtype"] = default_dtype(self.parent.device)
            if begun["device"] is None:
                begun["device"] = self.parent.device
            self.parent.dtype, self.parent.device = begun["dtype"], checked_device(begun["device"])
            self.parent.check_vocabulary()
            if self.settings.backend == "vllm":
                require_vllm()
            self.on_progress(0.0, "finding the data, fetched at first use")
            self.tasks  # noqa: B018  missing data is said before anything is measured
            write_settings(self.folder, begun)
            self._take_up()
            yield

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        data = self.settings.data
        return load_tasks(
            self.settings.tasks,
            data=Path(data) if data else None,
            limit=self.settings.limit,
            limits=self.settings.limits,
            seed=self.settings.seed,
            chat=chat_of(self.parent.tokenizer),
            max_new_tokens=self.settings.max_new_tokens,
        )

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """Dense first, then from wide to narrow by each criterion, the control last.

        Widths that are asked for in two ways come once, as first asked for.
        """
        criteria = list(dict.fromkeys([*self.settings.criteria, CONTROL]))
        cut: dict[tuple[int, int], Network] = {}
        for rank, criterion in enumerate(criteria):
            for asked in self.settings.widths:
                network = Network(criterion, asked)
                cut.setdefault((rank, -self.parent.width(network)), network)
        return (Network(None, "dense"), *(cut[place] for place in sorted(cut)))

    def evaluate(self) -> None:
        """Measure every task at every width, as far as it is missing."""
        for network in self.networks:
            self._count(network)
        for task in self.tasks:
            missing = [network for network in self.networks if not self.has(network, task.name)]
            after = self._spent + self._costs[task.name] * len(self.networks)
            if missing:
                self._spent = after - self._costs[task.name] * len(missing)
                self._evaluate(task, missing)
            self._spent = after

    def _evaluate(self, task: Task, missing: Sequence[Network]) -> None:
        """Measure one task at the widths where it is missing."""
        self.on_progress(self.share, f"{task.name}: floor")
        floor = floor_of(task)
        if self.settings.until is None:
            for network in missing:
                self._score(network, task, floor)
        else:
            self._score_until(self.settings.until, task, missing, floor)

    def has(self, network: Network, quantity: str) -> bool:
        """Whether this cell is measured; one whose value is missing is tried again."""
        record = self.records.get(self._key(network, quantity))
        return record is not None and record.value is not None

    @property
    def share(self) -> float:
        """Share of the work of all tasks that is done."""
        whole = sum(self._costs.values()) * len(self.networks)
        return min(1.0, self._spent / whole) if whole else 0.0

    def store(self, network: Network, quantity: str, **fields: Any) -> None:
        """Append the record of a cell; `fields` are those of `Record` that the cell decides."""
        told = {"settings": {}, **fields, "quantity": quantity}
        record = self.parent.record(network, cell=self._key(network, quantity), **told)
        append(self.folder / RECORDS, [record])
        self.records[record.cell] = record
        self._on_record(record)

    def _take_up(self) -> None:
        """Records of this sweep's cells; those of another version of the code are left out."""
        names = ["parameters", "bytes", *(task.name for task in self.tasks), *self._also_measured]
        mine = {self._key(network, name) for network in self.networks for name in names}
        for record in load(self.folder / RECORDS):
            if record.cell in mine:
                self.records[record.cell] = record
        for record in self.records.values():
            self._on_record(record)

    def _key(self, network: Network, quantity: str) -> str:
        """Content address of a cell: everything that fixes what is measured."""
        place = {"dtype": self.parent.dtype, "device": self.parent.device}
        settings = {**asdict(self.settings), **self._also, **place}
        parts = (self.parent.digest, settings, network.criterion, network.asked, quantity)
        text = json.dumps([*parts, self._item_digests.get(quantity), __version__])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _count(self, network: Network) -> None:
        """Exact parameters and bytes."""
        counts = counts_at(self.parent.checkpoint.architecture, self.parent.width(network))
        exact = {
            "parameters": ("count", counts.parameters),
            "bytes": ("bytes", counts.weight_bytes),
        }
        for quantity, (unit, value) in exact.items():
            if not self.has(network, quantity):
                self.store(network, quantity, unit=unit, value=float(value), n=1)

    def _score(self, network: Network, task: Task, floor: Floor) -> None:
        """One task at one width."""
        start = time.perf_counter()
        try:
            with self._asked(network, task) as lm:
                answers = answer_task(lm, task)
        except WidthwiseError as error:
            self._miss(network, task, error)
        else:
            self._keep(network, task, answers, floor, time.perf_counter() - start)

    def _score_until(
        self, half_width: float, task: Task, missing: Sequence[Network], floor: Floor
    ) -> None:
        """One task at all widths in turn, a few items at a time, until each is certain enough.

        What is measured already is asked again only to compare with it, and not stored again: the
        dense model for every other, and all others to know where the dense model stops.
        """
        start = time.perf_counter()
        dense = self.networks[0]
        asked = self.networks if dense in missing else (dense, *missing)
        steps = Steps(task, asked, half_width, seed=self.settings.seed)
        for network, part in steps:
            try:
                with self._asked(network, part) as lm:
                    steps.add(network, answer_task(lm, part))
            except WidthwiseError as error:
                steps.drop(network)
                if network in missing:
                    self._miss(network, task, error)
        spent = (time.perf_counter() - start) / len(asked)
        for network, answers in steps.answers.items():
            if network in missing:
                self._keep(network, task, answers, floor, spent, until=half_width)

    def _miss(self, network: Network, task: Task, error: WidthwiseError) -> None:
        reason = f"{network.label}: {error}"
        self.store(network, task.name, unit=unit_of(task.metric), value=None, n=0, reason=reason)

    def _keep(
        self,
        network: Network,
        task: Task,
        answers: Sequence[Answer],
        floor: Floor,
        seconds: float,
        **settings: Any,
    ) -> None:
        """Items first, then the record that says that they are there."""
        try:
            if len(answers) < len(task.item_ids):  # it stopped early: the floor of these items
                floor = floor_of(_answered(task, answers))
            score = score_answers(task, answers, floor)
        except WidthwiseError as error:
            return self._miss(network, task, error)
        key = self._key(network, task.name)
        write_items(self.folder, key, score.answers, score.items)
        self.store(
            network,
            task.name,
            unit=score.unit,
            value=score.value,
            standard_error=score.standard_error,
            n=score.n,
            floor=score.floor.value,
            floor_kind=score.floor.kind,
            higher_is_better=score.higher_is_better,
            items=score.items,
            duration_sec=seconds,
            settings={**_described(task, score), **self._engine, **settings},
        )

    @contextmanager
    def _asked(self, network: Network, task: Task) -> Iterator[Any]:
        """The language model of a network, while open; its progress is reported."""
        begun, requests = self._spent, len(task.requests)
        share = self._costs[task.name] * len(task.item_ids) / self._sizes[task.name]

        def report(done: int) -> None:
            self._spent = begun + share * min(1.0, done / requests)
            self.on_progress(self.share, f"{network.label}: {task.name}")

        report(0)
        if self.settings.backend == "vllm":
            yield vllm_model_of(self._written(network), str(self.parent.dtype))
        else:
            with self.parent.at(network) as model:
                lm = self._language_model(model)
                lm.on_done = report
                yield lm
        self._spent = begun + share

    def _written(self, network: Network) -> Path:
        """The checkpoint folder of a network, written into the sweep's folder where it is cut."""
        if network.criterion is None:
            return self.parent.checkpoint.path
        out = self.folder / "checkpoints" / network.label.replace(" ", "-")
        if not (out / "config.json").exists():
            out.parent.mkdir(exist_ok=True)
            prune_checkpoint(self.settings.model, out, self.parent.stored_plan(network))
        return out

    def _language_model(self, model: Any) -> Any:
        """One for all networks, which are one object; so texts are encoded once."""
        if self._lm is None:
            self._lm = language_model_of(self.settings.backend, model, self.parent.tokenizer)
        return self._lm

    @property
    def _engine(self) -> dict[str, Any]:
        """How answers were got."""
        import lm_eval

        halved = getattr(getattr(self._lm, "budget", None), "halved", 0)
        cap = self.settings.max_new_tokens
        return {
            **({} if cap is None else {"max_new_tokens": cap}),
            "backend": self.settings.backend,
            "lm_eval": lm_eval.__version__,
            "budget_halved": halved,
        }

    @cached_property
    def _item_digests(self) -> dict[str, str]:
        """Task to a digest of its documents and of what is asked about them."""
        return {task.name: task.digest for task in self.tasks}

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {task.name: len(task.item_ids) for task in self.tasks}

    @cached_property
    def _costs(self) -> dict[str, float]:
        """Task to the characters that a model reads or, at their price, writes for it."""
        return {task.name: sum(map(_cost, task.requests)) for task in self.tasks}


def _answered(task: Task, answers: Sequence[Answer]) -> Task:
    """The task with the items that were answered alone."""
    ids = {answer.id for answer in answers}
    return chosen_items(task, [place for place, id_ in enumerate(task.item_ids) if id_ in ids])


def _cost(request: Any) -> float:
    settings = request.args[-1]
    if isinstance(settings, dict):
        return len(request.args[0]) + _WRITING * float(settings.get("max_gen_toks", 256))
    return float(sum(map(len, request.args)))


def _described(task: Task, score: Score) -> dict[str, Any]:
    """What a record says of a score beside its value."""
    return {
        "metric": f"{task.metric},{task.filter}",
        "shots": task.shots,
        "task_version": task.version,
        "source": task.source,
        "floors": dict(score.floor.answerers),
        "no_floor": score.floor.reason,
        "chance_corrected": score.chance_corrected,
        "metrics": dict(score.metrics),
        "capped": score.capped,
        "loops": score.loops,
    }
