"""Checks of requested tasks before a model is loaded: names, packages and data of NLTK."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import RunError
from .harness_loading import (
    OWN_TASKS,
    check_limits,
    names_under,
    open_manager,
    silenced,
    unknown_task,
)
from .ifbench import has_nltk_data
from .own_items import read_items
from .suites import CHAT, SUITES, TaskRequest, requested_tasks

_TASK_NAMES = re.compile(rb"^\s*(?:-\s+)?(?:task|group|tag):\s*[\"']?([\w.-]+)", re.MULTILINE)
_DATA_FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".gz")


_INSTALL = "pip install 'widthwise[eval]'"

# lm-eval scores these tasks only with these packages, and this folder of NLTK's data.
_IFEVAL = ("ifeval", "leaderboard_ifeval")
_PACKAGES = ("langdetect", "immutabledict", "nltk")
_NLTK_DATA = "tokenizers/punkt_tab/english"


def check_tasks(
    names: Sequence[str], limits: Mapping[str, int] | None = None, data: Path | None = None
) -> None:
    """Refuse what `load_tasks` would refuse, as far as names, limits and packages tell.

    Takes a second where all names are known.

    Args:
        names, limits, data: As for `load_tasks`.

    Raises:
        RunError: A name is no suite and no task, a file is not there or describes no task, a task
            is asked for twice, a limit is of a task that is not asked for, or a package that a
            task needs is not there.
    """
    require_harness()
    requests = requested_tasks(names)
    named = [_name_of(item) for item in requests]
    pairs = list(zip(named, requests, strict=True))
    asked = [f"{name or item.task}{CHAT * item.chat}" for name, item in pairs]
    check_distinct(asked)
    with silenced():
        manager = manager_for(requests, data)
    if None not in named:
        below = [
            f"{name}{CHAT * item.chat}"
            for item in requests
            if not item.is_file
            for name in names_under(manager, [item])
        ]
        check_limits(limits or {}, [*asked, *below])


def require_harness() -> None:
    """Raise RunError unless lm-eval can be imported."""
    if importlib.util.find_spec("lm_eval") is None:
        raise RunError(f"the tasks of lm-eval need the extra eval: {_INSTALL}")


def use_nltk_data(folder: Path | None) -> None:
    """Let NLTK look into `folder/nltk_data` too, if there is one.

    It looks there until the process ends: scores are computed later than prompts.
    """
    nltk_folder = None if folder is None else folder / "nltk_data"
    if nltk_folder is None or not nltk_folder.is_dir() or importlib.util.find_spec("nltk") is None:
        return
    import nltk

    if str(nltk_folder.absolute()) not in nltk.data.path:
        nltk.data.path.append(str(nltk_folder.absolute()))


def manager_for(requests: Sequence[TaskRequest], data: Path | None) -> Any:
    """lm-eval's `TaskManager` with the wanted tasks, once all that they need is there.

    Args:
        requests: The wanted tasks.
        data: The user's folder of documents, where `nltk_data` may lie.

    Raises:
        RunError: As `open_manager`, or a task lacks a package or data of NLTK.
    """
    use_nltk_data(data)
    manager = open_manager(requests)
    for task in names_under(manager, requests):
        if task in _IFEVAL:
            _check_needs(task, data)
    return manager


def _check_needs(task: str, folder: Path | None) -> None:
    """Raise RunError where a package or data of NLTK is not there."""
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise RunError(f"task {task} needs {', '.join(absent)}: {_INSTALL}")
    if not has_nltk_data(f"{_NLTK_DATA}/"):
        parent = "~" if folder is None else folder
        package = _NLTK_DATA.split("/")[1]
        raise RunError(
            f"task {task} needs {package} of NLTK: run 'python -m nltk.downloader "
            f"{package}', or put the folder {parent}/nltk_data/{_NLTK_DATA} there"
        )


def _name_of(item: TaskRequest) -> str | None:
    """The name of a wanted task, once its name or its file was looked at; None of a group's file.

    Raises:
        RunError: There is no such task, or its file is no task.
    """
    if item.is_items:
        return read_items(item.task).name
    if item.is_file:
        return _name_in_file(item.task)
    if item.task not in OWN_TASKS:
        _check_name(item)
    return item.task


def _name_in_file(task: str) -> str | None:
    """The name of the task that a YAML file describes; None of a group or a class.

    Raises:
        RunError: It is no file of YAML that describes a task or a group.
    """
    from lm_eval.tasks._yaml_loader import load_yaml, yaml

    path = Path(task).expanduser()
    if not path.is_file():
        raise RunError(f"the task file {task} is not there")
    try:
        described = load_yaml(path, resolve_func=False)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"the task file {task} cannot be read: {reason}") from error
    if not {"task", "group", "class"} & described.keys():
        raise RunError(
            f"the task file {task} describes no task: it must hold a line such as task: my_task"
        )
    name = described.get("task")
    return name if isinstance(name, str) and not {"group", "class"} & described.keys() else None


def check_distinct(names: Sequence[str]) -> None:
    """Raise RunError for a task that two names ask for, such as `mmlu,embedded:mmlu`."""
    for name in names:
        if names.count(name) > 1:
            raise RunError(f"two of the tasks have the name {name}: evaluate them in two runs")


def _check_name(item: TaskRequest) -> None:
    """Raise RunError for a name of which the task files of lm-eval do not hold a word."""
    path = Path(item.task).expanduser()
    if path.suffix in _DATA_FILES or os.sep in item.task or path.is_file():
        fault = "is not a task" if path.exists() else "is not there, and would not be a task"
        raise RunError(
            f"{item.task} {fault}: name a suite ({', '.join(SUITES)}), a task of lm-eval, a .jsonl "
            "file of questions of your own or a YAML file that describes a task (docs/evaluate.md "
            "shows how); give a folder of documents for tasks of lm-eval with --data"
        )
    if any(item.task in suite for suite in SUITES.values()):
        return
    texts = _task_files()
    word = re.compile(rb"(?<![\w.-])" + re.escape(item.task.encode()) + rb"(?![\w.-])")
    if not any(map(word.search, texts)):
        names = {name.decode() for text in texts for name in _TASK_NAMES.findall(text)}
        raise unknown_task(item.task, sorted(names))


@cache
def _task_files() -> list[bytes]:
    """What is in lm-eval's files of tasks: 14,000 are read in half a second, and parsed in nine.

    Read once: 7 MB that only a process holds in which a task has no name of a suite.
    """
    package = importlib.util.find_spec("lm_eval")
    roots = (package and package.submodule_search_locations) or []
    return [
        (Path(folder) / file).read_bytes()
        for root in roots
        for folder, _, files in os.walk(Path(root) / "tasks")
        for file in files
        if file.endswith((".yaml", ".yml")) or file.startswith("_")
    ]
