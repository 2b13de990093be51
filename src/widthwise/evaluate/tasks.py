"""Tasks of lm-eval with the requests of chosen documents, ready to be answered.

Prompts, filters, metrics and versions are lm-eval's own: the requests are those that its
`simple_evaluate(tasks, num_fewshot=..., samples=...)` builds for the same documents.
"""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import RunError
from .chat import Chat
from .harness_loading import (
    LoadedTask,
    check_limits,
    harness_seeds,
    load_units,
    reason_of,
    silenced,
    templates_once,
)
from .sampling import sample_documents
from .suites import CHAT, requested_tasks
from .task_names import check_distinct, manager_for, require_harness

_WRITTEN = 256  # new tokens at most where a task names no limit, as in lm-eval


@dataclass(frozen=True)
class TaskDocument:
    """One document of a task, with lm-eval's requests in the order of their `idx`.

    There is one request for each option of a multiple choice, else one.
    """

    id: str  # `"mmlu_anatomy/17"`: part and index in lm-eval's set
    doc: dict[str, Any]  # as lm-eval's `process_results` wants it
    instances: tuple[Any, ...]
    lm_task: Any  # lm-eval's task that it is a document of


@dataclass(frozen=True, kw_only=True)
class TaskPart:
    """One task object of lm-eval with the documents chosen from it."""

    lm_task: Any  # lm-eval's task, its `instances` built for exactly the chosen documents
    doc_ids: tuple[int, ...]  # indices into `lm_task.task_docs`, ascending

    @property
    def name(self) -> str:
        """lm-eval's name, such as `"mmlu_anatomy"`."""
        return str(self.lm_task.task_name)

    @property
    def total(self) -> int:
        """Number of documents in the whole set."""
        return len(self.lm_task.task_docs)

    def documents(self) -> Iterator[TaskDocument]:
        """The chosen documents, in the order of `doc_ids`."""
        instances = defaultdict(list)
        for instance in self.lm_task.instances:  # lm-eval numbers the chosen ones from 0
            instances[instance.doc_id].append(instance)
        for position, doc_id in enumerate(self.doc_ids):
            requests = tuple(sorted(instances[position], key=lambda instance: instance.idx))
            yield TaskDocument(f"{self.name}/{doc_id}", requests[0].doc, requests, self.lm_task)


@dataclass(frozen=True, kw_only=True)
class Task(LoadedTask):
    """A task with the documents that were chosen, and lm-eval's requests of them.

    With the chat template its name is `"mmlu@chat"`.
    """

    parts: tuple[TaskPart, ...]  # the parts with chosen documents
    source: str  # which documents were chosen, in words

    @property
    def higher_is_better(self) -> bool:
        """Direction in which the metric improves."""
        return bool(self.lm_tasks[0].higher_is_better()[self.metric])

    @property
    def aggregate(self) -> Callable[[Sequence[Any]], float]:
        """lm-eval's function from the metric of all items to the score."""
        aggregate: Callable[[Sequence[Any]], float] = self.lm_tasks[0].aggregation()[self.metric]
        return aggregate

    @property
    def unit(self) -> str:
        """Unit of the score."""
        return unit_of(self.metric)

    @property
    def shots(self) -> int:
        """Solved examples in each prompt."""
        return int(self.lm_tasks[0].config.num_fewshot)

    def documents(self) -> Iterator[TaskDocument]:
        """The documents of all parts, in order."""
        for part in self.parts:
            yield from part.documents()

    @cached_property
    def digest(self) -> str:
        """sha256 over the documents chosen and all that is asked about them."""
        digest = hashlib.sha256()
        for document in self.documents():
            content = repr((document.id, document.doc, [each.args for each in document.instances]))
            digest.update(content.encode("utf8", "surrogatepass"))
        digest.update(self.content.encode())  # the floor is of all items
        return digest.hexdigest()

    @property
    def requests(self) -> list[Any]:
        """lm-eval's requests of all documents, in order."""
        return [instance for document in self.documents() for instance in document.instances]

    @property
    def is_chat(self) -> bool:
        """Whether it is asked with the chat template."""
        return self.name.endswith(CHAT)

    @property
    def is_written(self) -> bool:
        """Whether the model writes texts for it."""
        return any(self.new_tokens)

    @property
    def texts(self) -> list[str]:
        """The text that each request lets a model read."""
        return [
            str(request.args[0]) if isinstance(request.args[-1], dict) else "".join(request.args)
            for request in self.requests
        ]

    @property
    def new_tokens(self) -> list[int]:
        """Tokens that each request has written at most; 0 where it asks for likelihoods."""
        last = [request.args[-1] for request in self.requests]
        return [int(_limit_of(each)) if isinstance(each, dict) else 0 for each in last]

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The id of each document, in order."""
        return tuple(f"{part.name}/{doc_id}" for part in self.parts for doc_id in part.doc_ids)


def unit_of(metric: str) -> str:
    """Unit of a metric of lm-eval: shares of right answers are all `"accuracy"`.

    Example:
        >>> unit_of("acc_norm"), unit_of("prompt_level_strict_acc"), unit_of("word_perplexity")
        ('accuracy', 'accuracy', 'word_perplexity')
    """
    right = metric in ("acc", "acc_norm", "acc_bytes", "exact_match") or metric.endswith("_acc")
    return "accuracy" if right else metric


def check_chat(names: Sequence[str], chat: Chat | None) -> None:
    """Raise RunError for a task that needs a chat template where the tokenizer has none.

    Args:
        names: Suites and tasks, as for `load_tasks`.
        chat: The tokenizer's chat template; None when it has none.
    """
    for item in requested_tasks(names):
        if item.chat and chat is None:
            raise RunError(
                f"task {item.task}{CHAT} needs a chat template and the tokenizer has none: "
                f"ask for tasks without {CHAT}"
            )


def load_tasks(
    names: Sequence[str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    limits: Mapping[str, int] | None = None,
    seed: int = 0,
    chat: Chat | None = None,
    max_new_tokens: int | None = None,
) -> tuple[Task, ...]:
    """The tasks with their requests, everything that they need looked at beforehand.

    Args:
        names: Suites (keys of `SUITES`), tasks, groups and tags of
            lm-eval, or paths of task YAMLs or of items (`.jsonl`, `read_items`). With `@chat` at
            its end, a name means the task with the chat template. Outside a suite a task has the
            shots that lm-eval gives it; `"paper:mmlu"` is the task as that suite has it.
        data: Folder of documents: `TASK/SPLIT.jsonl.gz` and such, `mmlu/SPLIT/SUBJECT`,
            `leaderboard_musr/SPLIT`, `truthfulqa_mc/SPLIT`; `nltk_data` in it is used. None for
            the hub. Nothing is written there. The suite `embedded` and YAML files bring their own.
        limit: Documents of each task at most; a sample that is stratified over its parts and
            depends only on its name, its sizes, its limit and `seed`.
        limits: Limits of single tasks, by name, in place of `limit`; one without `@chat` is for
            the task with the chat template too.
        seed: Seed of the sample.
        chat: The tokenizer's chat template; None when it has none.
        max_new_tokens: Cap on what a task has written; None for the task's own alone.

    Raises:
        AssetError: Documents are missing or damaged.
        RunError: lm-eval, one of its tasks or what a task needs is not there, or the limit is not
            positive.
    """
    require_harness()
    limits = dict(limits or {})
    for number in (limit, *limits.values()):
        if number is not None and number < 1:
            raise RunError(f"limit must be at least 1; got {number}")
    check_chat(names, chat)
    requests = requested_tasks(names)
    with silenced(), templates_once(), harness_seeds():
        manager = manager_for(requests, data)
        units = [
            (unit, chat if item.chat else None)
            for item in requests
            for unit in load_units(manager, item, data)
        ]
        full_names = [unit.name + CHAT * (chat is not None) for unit, chat in units]
        check_distinct(full_names)
        check_limits(limits, full_names)
        tasks = tuple(
            _built(unit, limits.get(name, limits.get(unit.name, limit)), seed, chat)
            for name, (unit, chat) in zip(full_names, units, strict=True)
        )
    if max_new_tokens is not None:
        for request in (request for task in tasks for request in task.requests):
            _cap(request, max_new_tokens)
    return tasks


def chosen_items(task: Task, positions: Sequence[int]) -> Task:
    """The task with the items at these positions alone; their requests stay the same."""
    chosen = set(positions)
    parts, before = [], 0
    for part in task.parts:
        numbers = [number for number in range(len(part.doc_ids)) if before + number in chosen]
        before += len(part.doc_ids)
        if numbers:
            parts.append(_with_documents(part, numbers))
    return replace(task, parts=tuple(parts))


def with_all_documents(task: Task) -> Task:
    """The task with all its documents, each asked without examples and without chat template.

    That is no prompt for a model, but enough for filters and metrics, and for trivial answerers.
    """
    parts = []
    for original in task.lm_tasks:
        lm_task = copy.copy(original)
        lm_task._instances = []
        for number, doc in enumerate(lm_task.task_docs):
            made = lm_task.construct_requests(
                doc=doc,
                ctx=_bare_context(lm_task, doc),
                metadata=(lm_task.task_name, number, lm_task.config.repeats),
                apply_chat_template=False,
                chat_template=None,
            )
            lm_task._instances += made if isinstance(made, list) else [made]
        parts.append(TaskPart(lm_task=lm_task, doc_ids=tuple(range(len(lm_task.task_docs)))))
    return replace(task, parts=tuple(parts))


def _bare_context(lm_task: Any, doc: dict[str, Any]) -> Any:
    """The context of a request, where a trivial answerer's score depends on it."""
    if lm_task.OUTPUT_TYPE == "loglikelihood":
        return lm_task.doc_to_text(doc)
    if lm_task.OUTPUT_TYPE == "multiple_choice" and lm_task.multiple_input:
        return lm_task.doc_to_choice(doc)  # there each option is a context
    return ""


def _cap(request: Any, most: int) -> None:
    """Lower the limit of a request that has something written."""
    context, settings = request.args[0], request.args[-1]
    if isinstance(settings, dict):
        limit = min(most, int(_limit_of(settings)))
        request.arguments = (context, {**settings, "max_gen_toks": limit})


def _limit_of(settings: dict[str, Any]) -> Any:
    """Tokens at most of a text that is written with these settings."""
    from lm_eval.models.utils import normalize_gen_kwargs  # which knows all names of a limit

    return normalize_gen_kwargs(settings, _WRITTEN)["max_gen_toks"]


def _with_documents(part: TaskPart, numbers: Sequence[int]) -> TaskPart:
    """A part with some of its documents, by their number among the chosen ones."""
    documents = list(part.documents())
    lm_task = copy.copy(part.lm_task)
    lm_task._instances = []
    for new, number in enumerate(numbers):
        for instance in documents[number].instances:
            renumbered = copy.copy(instance)
            renumbered.doc_id = new
            lm_task._instances.append(renumbered)
    doc_ids = tuple(part.doc_ids[number] for number in numbers)
    return replace(part, lm_task=lm_task, doc_ids=doc_ids)


def _built(unit: LoadedTask, limit: int | None, seed: int, chat: Chat | None) -> Task:
    """The unit as a task: documents drawn, requests of these documents built."""
    sizes = {lm_task.task_name: len(lm_task.task_docs) for lm_task in unit.lm_tasks}
    chosen = sample_documents(unit.name, sizes, limit, seed)
    parts = tuple(
        TaskPart(lm_task=lm_task, doc_ids=tuple(chosen[lm_task.task_name]))
        for lm_task in unit.lm_tasks
        if chosen[lm_task.task_name]
    )
    for part in parts:
        _build_requests(part, chat)
    named = {**vars(unit), "name": unit.name + CHAT * (chat is not None)}
    return Task(**named, parts=parts, source=_source(parts, sizes, seed, unit.remark))


def _build_requests(part: TaskPart, chat: Chat | None) -> None:
    """Build the requests as `simple_evaluate` does, few-shot draws included."""
    from lm_eval.defaults import DEFAULT_OTHER_SEED

    lm_task, doc_ids = part.lm_task, list(part.doc_ids)
    lm_task.set_fewshot_seed(seed=DEFAULT_OTHER_SEED)
    try:
        with harness_seeds():
            lm_task.build_all_requests(
                samples=doc_ids if len(doc_ids) < part.total else None,
                apply_chat_template=chat is not None,
                fewshot_as_multiturn=True,
                chat_template=chat.apply if chat else None,
                tokenizer_name=chat.tokenizer_name if chat else "",
            )
        _check_labels(lm_task, doc_ids)
        _check_lengths(lm_task)
    except RunError:
        raise
    except Exception as error:
        blame = f", or the chat template of {chat.tokenizer_name} cannot be applied" if chat else ""
        raise RunError(
            f"the prompts of task {lm_task.task_name} cannot be built: a document does not fit "
            f"it{blame} ({reason_of(error)})"
        ) from error


def _check_labels(lm_task: Any, doc_ids: Sequence[int]) -> None:
    """Raise RunError for a label that names no option: lm-eval would count the item as wrong."""
    if lm_task.OUTPUT_TYPE != "multiple_choice":
        return
    for number in doc_ids:
        doc = lm_task.task_docs[number]
        options = lm_task.doc_to_choice(doc)
        label = lm_task.doc_to_text(doc) if lm_task.multiple_input else lm_task.doc_to_target(doc)
        for each in label if isinstance(label, list) else [label]:
            is_known = 0 <= each < len(options) if isinstance(each, int) else each in options
            if not is_known:
                raise RunError(
                    f"task {lm_task.task_name}, item {number}: the label {each!r} names none of "
                    f"its {len(options)} options"
                )


def _check_lengths(lm_task: Any) -> None:
    """Raise RunError where a text is to be written of a length that is none."""
    last = (request.args[-1] for request in lm_task.instances)
    settings = next((each for each in last if isinstance(each, dict)), None)
    if settings is None:
        return
    try:
        limit = _limit_of(settings)
    except (TypeError, ValueError) as error:
        raise RunError(
            f"task {lm_task.task_name}: its generation settings cannot be read ({error})"
        ) from error
    if limit < 1:
        raise RunError(f"task {lm_task.task_name}: max_gen_toks must be at least 1; got {limit}")


def _source(parts: Sequence[TaskPart], sizes: dict[str, int], seed: int, remark: str) -> str:
    chosen, total = sum(len(part.doc_ids) for part in parts), sum(sizes.values())
    words = [f"all {total:,} items"]
    if chosen < total:
        words = [f"{chosen:,} of {total:,} items"]
        if len(sizes) > 1:
            of = f"{len(parts)} of {len(sizes)}" if len(parts) < len(sizes) else f"{len(sizes)}"
            words.append(f"stratified over {of} parts")
        words.append(f"seed {seed}")
    return ", ".join(words) + (f"; {remark}" if remark else "")
