"""lm-eval's tasks, loaded in silence, with documents from the hub or from elsewhere."""

from __future__ import annotations

import difflib
import io
import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import RunError, WidthwiseError
from .documents import (
    DocumentSource,
    Source,
    as_dataset,
    embedded_documents,
    local_source,
    prose_config,
)
from .ifbench import ifbench_config
from .own_items import OwnItems, read_items
from .suites import CHAT, FILTERS, FOLDERS, METRICS, SUITES, TaskRequest

_HUB = "the hub"
_SHOWN = 20  # names of tasks in one message
_LOGGERS = ("lm_eval", "datasets", "huggingface_hub")


@dataclass(frozen=True, kw_only=True)
class LoadedTask:
    """What gets one score: one task of lm-eval, or all of a group."""

    name: str  # `"mmlu"`
    lm_tasks: tuple[Any, ...]  # lm-eval's task objects, with all their documents
    metric: str  # lm-eval's name of the headline metric: `"acc"`, `"word_perplexity"`
    filter: str  # lm-eval's name of the filter; `"none"` where a task has none
    version: str  # lm-eval's version of the task
    remark: str  # difference from lm-eval, or nothing
    content: str = ""  # digest of all items of a user's own file; empty of any other task


OWN_TASKS = {"prose": prose_config, "ifbench": ifbench_config}  # tasks that lm-eval does not have


def reason_of(error: Exception) -> str:
    """An error's type, and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


@contextmanager
def silenced() -> Iterator[None]:
    """Neither log lines nor progress bars of lm-eval and datasets, while open."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def templates_once() -> Iterator[None]:
    """Compile each prompt template once, while open: lm-eval does it again for every document.

    Of the five-shot prompts of MMLU, compiling is four fifths of the time.
    """
    from lm_eval.utils import env

    env.from_string = lru_cache(maxsize=256)(env.from_string)  # shadows the method of its class
    try:
        yield
    finally:
        del env.from_string


@contextmanager
def harness_seeds() -> Iterator[None]:
    """The random state that lm-eval's `simple_evaluate` sets, while open; restored after."""
    import numpy as np
    from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED

    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def open_manager(requests: Iterable[TaskRequest]) -> Any:
    """lm-eval's `TaskManager` with at least the wanted tasks.

    Raises:
        RunError: A name is none of lm-eval's, or a file of a task is not there.
    """
    named = [item.task for item in requests if not item.is_file and item.task not in OWN_TASKS]
    for item in requests:
        if item.is_file and not Path(item.task).expanduser().is_file():
            raise RunError(f"the task file {item.task} is not there")
    manager = manager_of(everything=False)
    whole = {name for suite in SUITES.values() for name in suite}
    for name in named:  # a tag has tasks in other folders too
        entry = manager.task_index.get(name)
        if entry is None or (entry.kind.name != "TASK" and name not in whole):
            manager = manager_of(everything=True)
            break
    for name in named:
        if name not in manager.task_index:
            raise unknown_task(name, manager.all_tasks)
    return manager


def unknown_task(name: str, names: Sequence[str]) -> RunError:
    """The error for a name that is none of lm-eval's names."""
    close = ", ".join(difflib.get_close_matches(name, [*SUITES, *names])) or "none"
    return RunError(
        f"lm-eval has no task, group or tag {name!r} and there is no such suite "
        f"({', '.join(SUITES)}); names like it: {close}"
    )


def check_limits(limits: Mapping[str, int], names: Sequence[str]) -> None:
    """Raise RunError for a limit of a task that has none of the names, with or without `@chat`."""
    known_names = {*names, *(name.removesuffix(CHAT) for name in names)}
    for name in sorted(set(limits) - known_names):
        shown = list(dict.fromkeys(names))
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        known = ", ".join(shown[:_SHOWN]) + more
        raise RunError(f"--limit names {name!r}, which is not one of the tasks: {known}")


@lru_cache(maxsize=2)
def manager_of(*, everything: bool) -> Any:
    """lm-eval's `TaskManager` of all its tasks, or of the folders that the suites need."""
    import lm_eval.tasks

    root = Path(lm_eval.tasks.__file__).parent
    folders = [] if everything else [root / folder for folder in FOLDERS]
    return lm_eval.tasks.TaskManager(include_defaults=everything, include_path=folders)


def names_under(manager: Any, requests: Iterable[TaskRequest]) -> list[str]:
    """The wanted names, each followed by those of all groups and tasks in it."""
    return [name for item in requests for name in _names_under(manager, item.task)]


def _names_under(manager: Any, name: str) -> list[str]:
    entry = manager.task_index.get(name)
    if entry is None or entry.kind.name not in ("GROUP", "TAG"):
        return [name]
    members = sorted(entry.tags) if entry.kind.name == "TAG" else (entry.cfg or {}).get("task", [])
    names = [item if isinstance(item, str) else item.get("task") for item in members]
    below = (_names_under(manager, item) for item in names if isinstance(item, str))
    return [name, *(each for part in below for each in part)]


def load_units(manager: Any, request: TaskRequest, data: Path | None) -> list[LoadedTask]:
    """The tasks of lm-eval behind one wanted name, with documents, in lm-eval's order.

    A group whose tasks share the metric that it aggregates is one unit; of any other group, and of
    a tag, each task is one.

    Raises:
        AssetError: Documents are missing or damaged.
        RunError: lm-eval cannot load the task.
    """
    source = None if data is None else local_source(data)
    spec: Any = request.task
    if request.embedded:
        source = embedded_documents
    items = read_items(request.task) if request.is_items else None
    if request.task in OWN_TASKS:
        source, spec = None, OWN_TASKS[request.task]()
    elif items is not None:
        source, spec = None, items.config
    elif request.is_file:  # a file says itself where its documents are
        source, spec = None, str(Path(request.task).expanduser())
    remarks: dict[str, str] = {}
    with harness_seeds(), _documents_from(source, request, remarks):
        loaded = manager.load([spec])
    for lm_task in loaded["tasks"].values():
        name = lm_task.task_name
        if getattr(lm_task, "UNSAFE_CODE", False):
            raise RunError(
                f"task {name} runs code that the model wrote, which widthwise does not do: use "
                "lm-eval"
            )
        if getattr(lm_task, "MULTIMODAL", False):
            raise RunError(
                f"task {name} needs more than text, such as images, which is not supported"
            )
        lm_task.set_config(key="num_fewshot", value=_shots(lm_task.config, request))
    if items is not None:
        (lm_task,) = loaded["tasks"].values()
        return [_unit_of_items(lm_task, items)]
    group = loaded.get("groups", {}).get(request.task)
    if group is not None:
        return _units_of_group(group, remarks)
    return [_unit_of_task(lm_task, remarks) for lm_task in loaded["tasks"].values()]


def filter_names(lm_task: Any) -> list[str]:
    """Names of the filters of a task of lm-eval, the first that it lists first."""
    return [item["name"] for item in lm_task.config.filter_list or ({"name": "none"},)]


def _units_of_group(group: Any, remarks: dict[str, str]) -> list[LoadedTask]:
    leaves = group.get_all_tasks()
    alike = len({leaf.config.num_fewshot for leaf in leaves}) == 1
    if group.aggregate_metric_list and alike:
        aggregate = group.aggregate_metric_list[0]
        metric = METRICS.get(group.name, aggregate.metric)
        chosen = [*(aggregate.filter_list or []), *filter_names(leaves[0])]
        chosen = [FILTERS[group.name]] if group.name in FILTERS else chosen
        if all(metric in leaf.aggregation() and chosen[0] in filter_names(leaf) for leaf in leaves):
            notes = [remarks.get(leaf.task_name, "") for leaf in leaves]
            if not aggregate.weight_by_size and len(leaves) > 1:
                notes += ["each item weighs the same, where lm-eval has each part weigh the same"]
            version = group.version if group.version != "N/A" else str(leaves[0].VERSION)
            return [
                LoadedTask(
                    name=group.name,
                    lm_tasks=tuple(leaves),
                    metric=metric,
                    filter=chosen[0],
                    version=version,
                    remark="; ".join(filter(None, dict.fromkeys(notes))),
                )
            ]
    units: list[LoadedTask] = []
    for child in group:
        if hasattr(child, "get_all_tasks"):
            units += _units_of_group(child, remarks)
        else:
            units.append(_unit_of_task(child, remarks))
    return units


def _unit_of_task(lm_task: Any, remarks: dict[str, str]) -> LoadedTask:
    name = lm_task.task_name
    return LoadedTask(
        name=name,
        lm_tasks=(lm_task,),
        metric=METRICS.get(name) or next(iter(lm_task.aggregation())),
        filter=FILTERS.get(name) or filter_names(lm_task)[0],
        version=str(lm_task.VERSION),
        remark=remarks.get(name, ""),
    )


def _unit_of_items(lm_task: Any, items: OwnItems) -> LoadedTask:
    """The task of a user's own items; its name, were it one of lm-eval's, says nothing."""
    return LoadedTask(
        name=items.name,
        lm_tasks=(lm_task,),
        metric=next(iter(lm_task.aggregation())),
        filter=filter_names(lm_task)[0],
        version=items.digest[:12],
        remark=items.remark,
        content=items.digest,
    )


def _shots(config: Any, request: TaskRequest) -> int:
    """As in `simple_evaluate`: a 0 that lm-eval's own task sets is not overridden."""
    default = config.num_fewshot
    return int(default or 0) if default == 0 or request.shots is None else request.shots


@contextmanager
def _documents_from(
    source: Source | None, request: TaskRequest, remarks: dict[str, str]
) -> Iterator[None]:
    """While open, tasks of lm-eval take their documents from the source; failures are RunErrors.

    Every task of lm-eval calls `ConfigurableTask.download` for its documents, also one of a group:
    that method is replaced, and put back. `remarks` receives the source's remark on each task.
    """
    from lm_eval.api.task import ConfigurableTask

    original = ConfigurableTask.download
    last = {"task": request.task, "place": request.task if request.is_file else ""}

    def download(task: Any, dataset_kwargs: Any = None, **rest: Any) -> None:
        last["task"] = task.config.task or request.task
        if source is None:
            last["place"] = last["place"] or _HUB
            try:
                original(task, dataset_kwargs, **rest)
            except StopIteration as error:  # of datasets, which looks for a file's first document
                name = task.config.task
                raise RunError(f"task {name}: there are no documents in {last['place']}") from error
            if left_out := (task.config.metadata or {}).get("left_out"):
                names = ", ".join(f"{name} ({count})" for name, count in left_out.items())
                remarks[task.config.task] = f"without prompts that cannot be checked here: {names}"
        elif task.config.task is None:
            raise RunError(f"task {request.task} only reads from the hub: run it without --data")
        else:
            documents = source(task.config, _shots(task.config, request))
            last["place"] = documents.place
            remarks[task.config.task] = documents.remark
            _give(task, documents)
        _process_once(task)

    ConfigurableTask.download = download
    try:
        yield
    except WidthwiseError:
        raise
    except Exception as error:
        raise _sentence(error, last["task"], last["place"]) from error
    finally:
        ConfigurableTask.download = original


def _give(task: Any, documents: DocumentSource) -> None:
    """The documents as the data set of the task; splits that are not needed are forgotten."""
    task.dataset = {split: as_dataset(rows) for split, rows in documents.splits.items()}
    for key in ("training_split", "validation_split", "test_split"):
        if task.config[key] not in task.dataset:
            task.set_config(key=key, value=None)
    if task.config.fewshot_config.split not in task.dataset:
        task.config.fewshot_config.split = None


def _process_once(task: Any) -> None:
    """Let `process_docs` run once a split; lm-eval calls it four times, 10,000 documents each."""
    process = task.config.process_docs
    if process is None:
        return
    done: dict[int, tuple[Any, Any]] = {}  # by identity; the documents are kept, so it stays theirs

    def once(documents: Any) -> Any:
        if id(documents) not in done:
            done[id(documents)] = documents, process(documents)
        return done[id(documents)][1]

    task.set_config(key="process_docs", value=once)
    if task.config.fewshot_config.process_docs is process:
        task.config.fewshot_config.process_docs = once


def _sentence(error: Exception, task: str, source: str) -> RunError:
    """The error of a user for what lm-eval or datasets raised while a task was loaded."""
    if type(error).__name__ == "DatasetGenerationError" and isinstance(error.__cause__, Exception):
        error = error.__cause__  # datasets says "an error occurred", and in the cause which
    reason = reason_of(error)
    if isinstance(error, ImportError):
        return RunError(f"task {task} needs a Python package that is not there ({reason})")
    if source not in ("", _HUB):
        return RunError(f"task {task} cannot be loaded with the documents of {source} ({reason})")
    if source == _HUB and isinstance(error, OSError):
        offline = f"; embedded:{task} needs no hub" if task in SUITES["embedded"] else ""
        return RunError(
            f"the documents of task {task} cannot be had from the hub ({reason}): connect to a "
            f"network, or put them into a folder and name it with --data{offline}"
        )
    return RunError(f"lm-eval cannot load task {task} ({reason})")
