"""What kind of runs a folder or a file holds, by the fields of its first line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import RunError
from ..io import read_whole_lines
from ..report import Page
from ..runs import RECORDS, SETTINGS, records_in
from .convergence import converge_page
from .coordinate_check import check_page
from .lr_transfer import transfer_page
from .maml import maml_page
from .tinynet_search import search_page
from .word2vec import word2vec_page

# By the command that writes a kind of runs: fields by which a line of it is known, and its page.
MARKS = {
    "study": {"cell", "quantity"},
    "maml": {"network", "test", "validation"},
    "word2vec": {"network", "score", "curve"},
    "mup transfer": {"kind", "lr", "loss"},
    "tinynet search": {"experiment", "quantities"},
    "limit converge": {"case", "distances"},
    "mup check": {"layers", "changes"},
}
PAGES: Mapping[str, Callable[[Path], Page]] = {
    "maml": maml_page,
    "word2vec": word2vec_page,
    "mup transfer": transfer_page,
    "tinynet search": search_page,
    "limit converge": converge_page,
    "mup check": check_page,
}


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """A file of runs of one kind."""

    path: Path
    command: str


def write_run_report(runs: RunFile, path: Path) -> None:
    """Write the page of one file of runs; an existing file is replaced in one step.

    Args:
        runs: As of `detect_run_file`.
        path: The HTML file; its folder must exist.

    Raises:
        RunError: The file holds what is no run of its kind.
        OutputError: The page cannot be written.
    """
    PAGES[runs.command](runs.path).write(path)


def detect_run_file(path: Path) -> RunFile | None:
    """The runs that a folder holds, or that a file is; None of a study, and of what is neither.

    Raises:
        RunError: There are records, but none yet, or of no known kind; or several files of them.
    """
    file = _file_in(path)
    if file is None:
        return None
    lines = read_whole_lines(file)
    if not lines:
        raise RunError(f"{file} holds no records yet: run the command that writes it first")
    try:
        first = json.loads(lines[0])
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}:1 is no record ({error}); name another file") from error
    names = set(first) if isinstance(first, Mapping) else set()
    command = next((command for command, marks in MARKS.items() if marks <= names), None)
    if command is None:
        known = ", ".join(MARKS)
        raise RunError(f"{file}:1 is a record of no known kind; known are those of {known}")
    return RunFile(path=file, command=command) if command in PAGES else None


def _file_in(path: Path) -> Path | None:
    """Of a folder the file with its runs, by its name, or else the only one there is."""
    if not path.is_dir():
        return path if path.is_file() else None
    name = records_in(path)
    if name is not None:
        return None if name == RECORDS else path / name
    files = sorted(path.glob("*.jsonl"))
    if (path / SETTINGS).exists() or not files:
        return None
    if len(files) > 1:
        raise RunError(
            f"{path} holds several files of records ({files[0].name}, {files[1].name}); name one"
        )
    return files[0]
