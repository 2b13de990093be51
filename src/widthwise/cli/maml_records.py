"""Runs of `widthwise maml` as lines of a file, so that a command goes on where it was."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import __version__
from ..errors import OutputError, RunError

if TYPE_CHECKING:
    from ..limits.maml import Recipe, Result, Settings

Key: TypeAlias = tuple[str, "int | None", int]  # network, width, seed


def settings_of(settings: Settings, recipe: Recipe, data: str) -> dict[str, Any]:
    """What fixes a run's numbers beside network, width and seed; `data` is the file's sha256."""
    return {**asdict(settings), "recipe": asdict(recipe), "data": data, "widthwise": __version__}


def append(path: Path, result: Result, settings: dict[str, Any]) -> None:
    """Add a run and force it to disk; a line that an interruption cut off goes first.

    Raises:
        OutputError: The file cannot be written.
    """
    line = json.dumps({**asdict(result), "settings": settings}, allow_nan=False) + "\n"
    try:
        with open(path, "ab+") as file:
            file.seek(0)
            held = file.read()
            file.truncate(held.rfind(b"\n") + 1)
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{path} was not written: {error}") from error


def load(path: Path) -> dict[Key, tuple[Result, dict[str, Any]]]:
    """Whole runs of a file with their settings; an absent file holds none.

    Raises:
        RunError: A whole line is no run.
    """
    from ..limits.maml import Result, Score

    if not path.exists():
        return {}
    try:
        text = path.read_bytes()
        lines = text[: text.rfind(b"\n") + 1].decode("utf8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    runs = {}
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            settings = dict(found.pop("settings"))
            found["test"] = None if found["test"] is None else Score(**found["test"])
            found["validation"] = tuple((int(a), float(b)) for a, b in found["validation"])
            result = Result(**found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(
                f"{path}:{number} is no run of this command ({error}); move the file away"
            ) from error
        runs[result.network, result.width, result.seed] = result, settings
    return runs


def check_same(path: Path, key: Key, old: dict[str, Any], new: dict[str, Any]) -> None:
    """See that a run that is there was made as it would be now.

    Raises:
        RunError: It was not, with what differs.
    """
    plain = json.loads(json.dumps(new))
    odd = [name for name in plain if name != "widthwise" and old.get(name) != plain[name]]
    if odd:
        raise RunError(
            f"{path} holds {key[0]} {'' if key[1] is None else key[1]} seed {key[2]} with other "
            f"{', '.join(odd)}; give another --out, or the same options"
        )
