"""Runs as lines of a JSON-lines file, so that a command goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import OutputError, RunError
from ..study.lines import append_lines, read_whole_lines

Run = TypeVar("Run")


def append_line(path: Path, run: Mapping[str, Any]) -> None:
    """Add a run and force it to disk; a line that an interruption cut off goes first.

    Raises:
        OutputError: The file cannot be written.
    """
    append_lines(path, [json.dumps(run, allow_nan=False)])


def read_lines(
    path: Path, run_of: Callable[[dict[str, Any]], Run]
) -> list[tuple[Run, dict[str, Any]]]:
    """Whole runs of a file with their settings; an absent file holds none.

    Args:
        path: The file.
        run_of: Makes a run of what a line holds beside its `settings`; may fail as Python does
            where something else stands there.

    Raises:
        RunError: The file cannot be read, or a whole line is no run.
    """
    runs = []
    for number, line in enumerate(read_whole_lines(path), 1):
        try:
            found = json.loads(line)
            settings = dict(found.pop("settings"))
            runs.append((run_of(found), settings))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(
                f"{path}:{number} is no run of this command ({error}); move the file away"
            ) from error
    return runs


def check_same(path: Path, run: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """See that a run that is there was made as it would be now.

    Args:
        path: The file.
        run: What the run is called.
        old, new: Settings; the version of widthwise may differ.

    Raises:
        RunError: It was not, with what differs.
    """
    plain = json.loads(json.dumps(new))
    odd = [name for name in plain if name != "widthwise" and old.get(name) != plain[name]]
    if odd:
        raise RunError(
            f"{path} holds {run} with other {', '.join(odd)}; give another --out, or the same "
            "options"
        )


def make_folder(folder: Path) -> None:
    """Make the folder that runs go to, unless it is there, and hold it until the command ends.

    Raises:
        OutputError: It cannot be made, or another process is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        click.get_current_context().call_on_close(partial(os.close, lock))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"another process is at work in {folder}") from error
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
