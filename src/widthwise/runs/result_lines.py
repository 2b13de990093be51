"""Runs as lines of a JSON-lines file, so that a command goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import RunError
from ..io import append_lines, read_whole_lines, write_text

Run = TypeVar("Run")
_NO_RUN = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)


def append_line(path: Path, run: Mapping[str, Any]) -> None:
    """Add a run and force it to disk; a line that an interruption cut off goes first.

    Raises:
        OutputError: The file cannot be written.
    """
    append_lines(path, [_line(run)])


def write_lines(path: Path, runs: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of runs that were done together, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, "".join(_line(run) + "\n" for run in runs))


def read_lines(
    path: Path, run_of: Callable[[dict[str, Any]], Run], command: str
) -> list[tuple[Run, dict[str, Any]]]:
    """Whole runs of a file with their settings; an absent file holds none.

    Args:
        path: The file.
        run_of: Makes a run of what a line holds beside its `settings`; may fail as Python does
            where something else stands there.
        command: That writes such lines.

    Raises:
        RunError: The file cannot be read, or a whole line is no run.
    """
    runs = []
    for number, line in enumerate(read_whole_lines(path), 1):
        try:
            found = json.loads(line)
            settings = dict(found.pop("settings"))
            runs.append((run_of(found), settings))
        except _NO_RUN as error:
            raise RunError(
                f"{path}:{number} is no run of widthwise {command} ({error}); move the file away"
            ) from error
    return runs


def _line(run: Mapping[str, Any]) -> str:
    return json.dumps(run, allow_nan=False)
