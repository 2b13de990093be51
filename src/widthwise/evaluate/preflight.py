"""What tasks need beside their documents, looked for before anything is built or scored."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError

_INSTALL = "pip install 'widthwise[eval]'"


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Packages, and folders of NLTK's data, without which lm-eval cannot score a task."""

    packages: tuple[str, ...]
    nltk_data: tuple[str, ...]


_IFEVAL = Requirements(
    packages=("langdetect", "immutabledict", "nltk"),
    nltk_data=("tokenizers/punkt_tab/english",),
)
NEEDS = {"ifeval": _IFEVAL, "leaderboard_ifeval": _IFEVAL}


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


def check_needs(tasks: Iterable[str], folder: Path | None) -> None:
    """Raise RunError for the first of the tasks that lacks a package or data of NLTK.

    Args:
        tasks: lm-eval's names of tasks, groups taken apart.
        folder: The user's folder of documents, where `nltk_data` may lie.
    """
    for task in tasks:
        needs = NEEDS.get(task)
        if needs is None:
            continue
        absent = [name for name in needs.packages if importlib.util.find_spec(name) is None]
        if absent:
            raise RunError(f"task {task} needs {', '.join(absent)}: {_INSTALL}")
        for data in needs.nltk_data:
            if not _has_nltk_data(data):
                parent = "~" if folder is None else folder
                package = data.split("/")[1]
                raise RunError(
                    f"task {task} needs {package} of NLTK: run 'python -m nltk.downloader "
                    f"{package}', or put the folder {parent}/nltk_data/{data} there"
                )


def _has_nltk_data(path: str) -> bool:
    import nltk

    try:
        nltk.data.find(f"{path}/")
    except LookupError:
        return False
    return True
