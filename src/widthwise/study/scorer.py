"""Asks tasks of the networks of a dense model, and makes records of their answers."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__
from ..cut.checkpoint import check_tokens, table_rows
from ..errors import WidthwiseError
from ..evaluate import (
    BACKENDS,
    FLOOR_RULE,
    DenseReference,
    Floor,
    Task,
    TaskAnswer,
    TaskScore,
    Watch,
    answer_task,
    compute_floor,
    drawn_order,
    language_model_of,
    load_tasks,
    not_answered,
    reference_of,
    score_answers,
    vllm_model_of,
)
from ..notices import notice
from ..prune import prune_checkpoint
from ..runs import ProgressCallback
from .asking import Asking
from .calibration_stage import CalibrationStage
from .dense_model import DenseModel
from .evaluate_settings import EvaluateSettings
from .item_distances import ItemDistances
from .records import Record, cell_address
from .variant import DENSE, Variant

DRAWN = "drawn"  # the order of items that `drawn_order` gives, in the settings of a record

OnShare = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    """The result of asking one network one task.

    Attributes:
        record: Record of the cell.
        answers: Answer of the network to each item; none where the value is missing.
    """

    record: Record
    answers: tuple[TaskAnswer, ...] = ()


class Scorer:
    """The tasks of an evaluation, and one language model for all networks of a dense model.

    Args:
        parent: The dense model; its dtype and device must be set before anything is asked.
        settings: Settings of the evaluation.
        folder: Folder of the study, for refits and for checkpoints that another backend needs.
        also: Further settings that fix the caller's numbers.
        against: Asks the model that answers are compared with; None for this dense model, with
            which its own cuts are.
    """

    def __init__(
        self,
        parent: DenseModel,
        settings: EvaluateSettings,
        folder: Path,
        *,
        also: Mapping[str, Any] | None = None,
        against: Scorer | None = None,
    ) -> None:
        self.parent = parent
        self.settings = settings
        self._checkpoints = folder / "checkpoints"
        self.calibrated = CalibrationStage(parent, settings, folder)
        self._asking = Asking(parent, thinking=settings.thinking)
        self._also = dict(also or {})
        self._against = against or self
        self._lm: Any = None
        self._floors: dict[str, Floor] = {}
        self._references: dict[str, DenseReference] = {}

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """By name, in the order in which they are asked."""
        data = self.settings.data
        tasks = load_tasks(
            self.settings.tasks,
            data=Path(data) if data else None,
            limit=self.settings.limit,
            limits=self.settings.limits,
            seed=self.settings.seed,
            chat=self._asking.chat,
            max_new_tokens=self.settings.max_new_tokens,
        )
        self._asking.tell(tasks)
        return {task.name: task for task in tasks}

    def check(self) -> None:
        """Read all texts, and see that the model has an embedding for every word in them.

        Raises:
            RunError: A text cannot be read, or holds a word that the model does not have.
        """
        tokenizer, rows = self.parent.tokenizer, table_rows(self.parent.checkpoint)
        if max(tokenizer.get_vocab().values()) >= rows:
            for task in self.tasks.values():
                for text in task.texts:
                    tokens = tokenizer(text, verbose=False)["input_ids"]
                    check_tokens(tokens, rows, tokenizer, f"task {task.name}")
        self.calibrated.check()

    def try_out(self, network: Variant) -> None:
        """See that a network can be asked at all; loads it.

        Raises:
            WidthwiseError: It looks at tokens that follow, has no token that ends a text, or
                cannot be loaded.
        """
        if self.settings.backend != "vllm":  # which loads it in another process
            with self.opened(network):
                pass

    def key(self, network: Variant, quantity: str) -> str:
        """Content address of a cell: everything that fixes its number, and nothing else."""
        settings, task = self.settings, self.tasks.get(quantity)
        parts = [
            *(self.parent.digest, network.criterion, network.asked),
            *(quantity, None if task is None else task.digest, self._also),
            *(settings.seed, settings.max_new_tokens, settings.until, settings.backend),
            *(["thinking"] * settings.thinking),
            *(self.parent.dtype, self.parent.device.partition(":")[0], __version__),
            *self.calibrated.key_parts(network),
        ]
        return cell_address(parts)

    def record(self, network: Variant, quantity: str, **fields: Any) -> Record:
        """The record of a cell; `fields` are those of `Record` that the cell decides."""
        fields["settings"] = {
            **self.calibrated.record_settings(network),
            **fields.get("settings", {}),
        }
        cell = self.key(network, quantity)
        return self.parent.record(network, cell=cell, quantity=quantity, **fields)

    def floor(self, task: Task) -> Floor:
        """The score of trivial answerers on all documents of the task; computed once."""
        if task.name not in self._floors:
            self._floors[task.name] = compute_floor(task)
        return self._floors[task.name]

    def with_new_floors(self, records: Iterable[Record]) -> list[Record]:
        """Those of the records whose floors were counted by an older rule, with new ones.

        Args:
            records: Any of the study's cells, measured on the documents that are at hand now.
        """
        renewed = []
        for record in records:
            task = self.tasks.get(record.quantity)
            if task is not None and has_old_floor(record):
                ids = task.item_ids
                is_drawn = record.settings.get("order") == DRAWN
                if is_drawn or record.settings.get("until") is not None:
                    ids = tuple(ids[i] for i in drawn_order(task, self.settings.seed))
                renewed.append(refloored(record, self.floor(task), ids))
        return renewed

    def prepare(self, network: Variant, on_share: ProgressCallback = lambda *_: None) -> None:
        """Calibrate, where the network needs it and it is not done yet.

        Raises:
            WidthwiseError: The text, or the activations on it, do not allow it.
        """
        self.calibrated.cuts(network, on_share)

    def score(
        self, network: Variant, task: Task, on_share: OnShare = lambda _: None
    ) -> ScoreResult:
        """One task at one width; a value that could not be had is a record with its reason."""
        start = time.perf_counter()
        try:
            answers = self.answers(network, task, on_share)
        except WidthwiseError as error:
            return self.missed(network, task, error)
        return self.scored(network, task, answers, seconds=time.perf_counter() - start)

    def answers(
        self, network: Variant, task: Task, on_share: OnShare = lambda _: None
    ) -> tuple[TaskAnswer, ...]:
        """The answer of a network to each item of a task, or of a part of it.

        Raises:
            WidthwiseError: It says nothing that could be scored.
        """
        return self._answers(network, task, self._watch(network, task), on_share)

    def _answers(
        self,
        network: Variant,
        task: Task,
        watch: Watch | None,
        on_share: OnShare = lambda _: None,
    ) -> tuple[TaskAnswer, ...]:
        """The same; where the dense model fails, nothing is compared with it on this task."""
        requests = len(task.requests)
        with self.opened(network) as lm:
            lm.watch = watch
            lm.on_done = lambda done: on_share(min(1.0, done / requests))
            try:
                return answer_task(lm, task)
            except WidthwiseError:
                if watch is not None and watch.is_dense:
                    watch.reference.give_up()
                raise

    def _watch(self, network: Variant, task: Task) -> Watch | None:
        """What becomes of a network's answers: those that others are compared with are kept."""
        if self.settings.backend != BACKENDS[0]:
            return None
        is_dense = self._against is self and network.criterion is None
        reference = self._against.reference(task, is_whole=not is_dense)
        return Watch(reference, is_dense=is_dense)

    def reference(self, task: Task, *, is_whole: bool) -> DenseReference:
        """What the dense model says to a task, or to a part of it.

        Args:
            task: The task, perhaps as it is asked of another model.
            is_whole: Whether the model is asked what it has not been asked.
        """
        if task.name not in self._references:
            self._references[task.name] = reference_of(self.tasks.get(task.name, task))
        reference = self._references[task.name]
        if is_whole and (part := not_answered(task, reference)) is not None:
            with suppress(WidthwiseError):  # the dense model's own cell says what fails
                self._answers(DENSE, part, Watch(reference, is_dense=True))
        return reference

    def missed(self, network: Variant, task: Task, error: WidthwiseError) -> ScoreResult:
        """The record of a value that could not be had."""
        return ScoreResult(record=self.blank(network, task, f"{network.label}: {error}"))

    def blank(self, network: Variant, task: Task, reason: str) -> Record:
        """The record of a cell without a value."""
        return self.record(network, task.name, unit=task.unit, value=None, n=0, reason=reason)

    def scored(
        self,
        network: Variant,
        task: Task,
        answers: Sequence[TaskAnswer],
        *,
        seconds: float,
        **settings: Any,
    ) -> ScoreResult:
        """The record of a network's answers, which may be to a part of the items alone."""
        try:
            score = score_answers(task, answers, self.floor(task))
        except WidthwiseError as error:
            return self.missed(network, task, error)
        if score.shortened:
            notice(
                f"{self.parent.name}: of {score.n:,} items of {task.name}, {score.shortened:,} are "
                "longer than what the model reads; their beginnings are left out."
            )
        record = self.record(
            network,
            task.name,
            unit=task.unit,
            value=score.value,
            standard_error=score.standard_error,
            n=score.n,
            **_floor_fields(score.floor, [answer.id for answer in score.answers]),
            higher_is_better=task.higher_is_better,
            items=score.items,
            distances=ItemDistances.of(score.answers),
            duration_sec=seconds,
            settings={
                **_described(task, score),
                **self._asking.settings(task),
                **self._engine,
                **settings,
            },
        )
        return ScoreResult(record=record, answers=tuple(score.answers))

    @contextmanager
    def opened(self, network: Variant) -> Iterator[Any]:
        """The language model of a network, while open."""
        if self.settings.backend == "vllm":
            folder, dtype = self._written(network), str(self.parent.dtype)
            yield vllm_model_of(folder, dtype, think_end=self._asking.think_end)
            return
        cuts = self.calibrated.cuts(network, lambda *_: None)
        with self.parent.narrowed(network, cuts) as model:
            if self._lm is None:  # one for all networks, which are one object: texts encoded once
                tokenizer = self.parent.tokenizer
                self._lm = language_model_of(
                    self.settings.backend, model, tokenizer, think_end=self._asking.think_end
                )
            yield self._lm

    def _written(self, network: Variant) -> Path:
        """The checkpoint folder of a network, written where it is cut."""
        if network.criterion is None:
            return self.parent.checkpoint.loadable
        out = self._checkpoints / network.label.replace(" ", "-")
        if not (out / "config.json").exists():
            out.parent.mkdir(exist_ok=True)
            prune_checkpoint(self.settings.model, out, self.parent.stored_plan(network))
        return out

    @property
    def _engine(self) -> dict[str, Any]:
        """The settings of a record that say how answers were got."""
        import lm_eval

        halved = getattr(getattr(self._lm, "budget", None), "halved", 0)
        cap = self.settings.max_new_tokens
        return {
            **({} if cap is None else {"max_new_tokens": cap}),
            "backend": self.settings.backend,
            "lm_eval": lm_eval.__version__,
            "budget_halved": halved,
        }


def has_old_floor(record: Record) -> bool:
    """Whether a record is a score whose floor, if any, was counted by an older rule."""
    return record.is_score and record.settings.get("floor_rule") != FLOOR_RULE


def refloored(record: Record, floor: Floor, item_ids: Sequence[str]) -> Record:
    """The score with this floor; ids are those of its items, in order, and may be of more."""
    settings = {**record.settings, **_floor_settings(floor)}
    if record.value is not None:
        settings["chance_corrected"] = floor.corrected(record.value)
    fields = _floor_fields(floor, item_ids[: record.n])
    return replace(record, **fields, settings=settings)


def _floor_fields(floor: Floor, item_ids: Sequence[str]) -> dict[str, Any]:
    """The fields of a record of these items that describe a floor."""
    return {
        "floor": floor.value,
        "floor_kind": floor.kind,
        "floor_n": None if floor.value is None else floor.documents,
        "floor_error": floor.standard_error,
        "floor_items": tuple(floor.items[id_] for id_ in item_ids) if floor.items else (),
    }


def _floor_settings(floor: Floor) -> dict[str, Any]:
    """The settings of a record that describe a floor."""
    return {
        "floors": dict(floor.answerers),
        "floor_rule": FLOOR_RULE,
        "no_floor": floor.reason,
    }


def _described(task: Task, score: TaskScore) -> dict[str, Any]:
    """The settings of a record that describe a score."""
    return {
        "metric": f"{task.metric},{task.filter}",
        "shots": task.shots,
        "task_version": task.version,
        "source": task.source,
        "documents": _documents(task, score),
        **_floor_settings(score.floor),
        "chance_corrected": score.chance_corrected,
        "metrics": dict(score.metrics),
        "capped": score.capped,
        "loops": score.loops,
        "shortened": score.shortened,
    }


def _documents(task: Task, score: TaskScore) -> str:
    """4 bytes for the document of each item, the same in every task that asks of it, as base64."""
    documents = {document.id: repr(document.doc) for document in task.documents()}
    texts = (documents[answer.id].encode("utf8", "surrogatepass") for answer in score.answers)
    return b64encode(b"".join(hashlib.sha256(text).digest()[:4] for text in texts)).decode()
