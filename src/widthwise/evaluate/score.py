"""The score of a model on a task: its answers through lm-eval's filters and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .dense_reference import distances_of
from .engine.distances import Distance
from .floors import Floor, seeded_langdetect
from .harness_loading import harness_seeds, reason_of, silenced
from .metric_shares import aggregated, pseudovalues, standard_error_of

if TYPE_CHECKING:
    from .tasks import Task, TaskDocument


@dataclass(frozen=True, kw_only=True)
class TaskAnswer:
    """A model's answer to one item, with its metrics.

    Attributes:
        id: Part and index of the item in lm-eval's set.
        responses: The model's output: a text, a log-likelihood, or one with its being greedy
            for each option.
        metrics: `"metric,filter"` to lm-eval's value for this item.
        tokens: New tokens of a text that was written; None for other answers, as the next two.
        capped: Whether the text was cut off at its limit.
        loops: Whether it ends in one piece of text said over and over.
        shortened: Whether the beginning of a prompt was left out, as the model reads fewer tokens;
            None where what answered does not tell.
        distance: How far the answer is from the dense model's; None where that is not known.
    """

    id: str
    responses: tuple[Any, ...]
    metrics: Mapping[str, Any]
    tokens: int | None = None
    capped: bool | None = None
    loops: bool | None = None
    shortened: bool | None = None
    distance: Distance | None = None


@dataclass(frozen=True, kw_only=True)
class TaskScore:
    """A model's score on a task, with that of trivial answerers.

    Attributes:
        value: lm-eval's aggregate of the task's headline metric over all items.
        standard_error: Standard error of `value`: deviation of `items` / sqrt(n); None where
            it is unknown.
        n: Number of items.
        floor: The task's floor.
        items: Share of each item in `value`, whose mean `value` is, in the order of the task
            whatever the model, so that two models can be compared item by item. Empty where the
            metric cannot be shared out.
        metrics: Every metric of lm-eval, `"metric,filter"` to its aggregate, where finite.
        answers: The model's answer to each item, in the same order.
    """

    value: float
    standard_error: float | None
    n: int
    floor: Floor
    items: tuple[float, ...]
    metrics: Mapping[str, float]
    answers: tuple[TaskAnswer, ...] = field(repr=False)

    @property
    def chance_corrected(self) -> float | None:
        """(value - chance) / (1 - chance): 0 for an even guess, 1 for all right."""
        return self.floor.corrected(self.value)

    @property
    def capped(self) -> float | None:
        """Share of the written texts that were cut off at their limit; None if none was written."""
        return _share([answer.capped for answer in self.answers])

    @property
    def loops(self) -> float | None:
        """Share of the written texts that end in a loop; None if none was written."""
        return _share([answer.loops for answer in self.answers])

    @property
    def shortened(self) -> int | None:
        """Items of which the beginning of a prompt was left out; None where it is not known."""
        known = [each.shortened for each in self.answers if each.shortened is not None]
        return sum(known) if known else None


def answer_task(lm: Any, task: Task) -> tuple[TaskAnswer, ...]:
    """A model's answers to all items of a task, with lm-eval's metrics of each.

    Args:
        lm: Any language model of lm-eval's kind: `SharedPrefixLM`, lm-eval's own `HFLM` ...
        task: From `load_tasks`.

    Raises:
        RunError: The model's output is not finite, with the task and the item.
    """
    documents = list(task.documents())
    requests = [instance for document in documents for instance in document.instances]
    kinds = {str(instance.request_type) for instance in requests}
    if len(kinds) != 1 or any((instance.repeats or 1) > 1 for instance in requests):
        raise RunError(
            f"task {task.name} asks several kinds of questions about an item, or the same question "
            "several times, which is not supported"
        )
    kind = kinds.pop()
    with silenced():
        responses = iter(getattr(lm, kind)(requests))
    written = iter(getattr(lm, "generated", ()) if kind == "generate_until" else ())
    for document in documents:
        for instance in document.instances:
            response = next(responses)
            number = response[0] if isinstance(response, tuple) else response
            if isinstance(number, float) and not math.isfinite(number):
                raise _not_finite(task, document.id)
            instance.resps, instance.filtered_resps = [response], {}
    shortened, distances = _shortened(lm, documents), distances_of(lm, documents)
    with silenced(), harness_seeds(), seeded_langdetect():
        for part in task.parts:
            part.lm_task.apply_filters()
        answers = []
        for document in documents:
            text = next(written, None)
            if text is not None and not text.is_finite:
                raise _not_finite(task, document.id)
            answer = _answer(document, text, shortened.get(document.id))
            answers.append(replace(answer, distance=distances.get(document.id)))
    return tuple(answers)


def _shortened(lm: Any, documents: Sequence[TaskDocument]) -> dict[str, bool]:
    """Id of each item to whether a prompt of it was shortened; nothing where `lm` does not tell."""
    flags = iter(getattr(lm, "shortened", ()))
    by_item = {each.id: [next(flags, None) for _ in each.instances] for each in documents}
    return {id_: any(known) for id_, known in by_item.items() if None not in known}


def score_answers(task: Task, answers: Sequence[TaskAnswer], floor: Floor) -> TaskScore:
    """The score of the answers to the first items of a task, or to all of them.

    Raises:
        RunError: The headline metric is not finite.
    """
    values = item_values(task, answers)
    value = aggregated(task.aggregate, values)
    if not math.isfinite(value):
        raise RunError(f"task {task.name}: {task.metric} is {value}; the model may be damaged")
    shares = pseudovalues(task.metric, values, value, task.aggregate)
    return TaskScore(
        value=value,
        standard_error=standard_error_of(shares),
        n=len(values),
        floor=floor,
        items=tuple(shares),
        metrics=_aggregates(task.lm_tasks[0].aggregation(), answers),
        answers=tuple(answers),
    )


def item_values(task: Task, answers: Sequence[TaskAnswer]) -> list[Any]:
    """The headline metric of each answer, as lm-eval has it before aggregation."""
    headline = f"{task.metric},{task.filter}"
    return [answer.metrics[headline] for answer in answers]


def _answer(document: TaskDocument, text: Any, shortened: bool | None) -> TaskAnswer:
    metrics = {}
    for name in document.instances[0].filtered_resps:
        filtered = [instance.filtered_resps[name] for instance in document.instances]
        try:
            values = document.lm_task.process_results(document.doc, filtered)
        except Exception as error:  # of any kind: lm-eval's metrics trust the documents
            message = f"lm-eval cannot score item {document.id} ({reason_of(error)})"
            raise RunError(message) from error
        metrics.update({f"{metric},{name}": value for metric, value in values.items()})
    return TaskAnswer(
        id=document.id,
        responses=tuple(instance.resps[0] for instance in document.instances),
        metrics=metrics,
        tokens=None if text is None else len(text.tokens),
        capped=None if text is None else text.capped,
        loops=None if text is None else text.loops,
        shortened=shortened,
    )


def _aggregates(
    aggregation: Mapping[str, Callable[[Sequence[Any]], float]], answers: Sequence[TaskAnswer]
) -> dict[str, float]:
    """Every metric over the items that have it; one that is not finite is left out."""
    names = dict.fromkeys(name for answer in answers for name in answer.metrics)
    results = {}
    for name in names:
        if aggregate := aggregation.get(name.partition(",")[0]):
            values = [answer.metrics[name] for answer in answers if name in answer.metrics]
            results[name] = aggregated(aggregate, values)
    return {name: value for name, value in results.items() if math.isfinite(value)}


def _share(flags: Sequence[bool | None]) -> float | None:
    known = [flag for flag in flags if flag is not None]
    return sum(known) / len(known) if known else None


def _not_finite(task: Task, item: str) -> RunError:
    return RunError(
        f"task {task.name}, item {item}: the model's output is not finite; "
        "its weights may be damaged"
    )
