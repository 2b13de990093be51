"""Commands whose runs are lines of a file: the folder is theirs, and its runs are like theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import OutputError, RunError
from ..io import locked


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
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    busy = f"another process is at work in {folder}"
    click.get_current_context().with_resource(locked(folder / ".lock", folder, if_held=busy))
