"""The folder of a run: its settings, and the one process that may write into it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import OutputError, RunError
from ..io import locked, partial_path, write_text

SETTINGS = "study.json"
RECORDS = "records.jsonl"
_OPEN = ("dtype", "device")  # settings that a user may leave to this machine
_ABSENT = {"thinking": False}  # settings of a folder that an older version did not write


@contextmanager
def locked_folder(folder: Path, *, what: str = "study") -> Iterator[None]:
    """Make the folder, and hold it for this process alone.

    A folder that was new is removed again if nothing is written into it.

    Args:
        folder: Folder of a run.
        what: Name of such a run, in errors.

    Raises:
        OutputError: It cannot be written, or another process is running in it.
        RunError: It holds other files and no run; nothing is written into it then.
    """
    if folder.is_dir() and not any((folder / name).exists() for name in (SETTINGS, RECORDS)):
        leftovers = (".lock", partial_path(folder / SETTINGS).name)  # of a run killed at its start
        foreign = sorted(p.name for p in folder.iterdir() if p.name not in leftovers)
        if foreign:
            raise RunError(f"{folder} holds other files ({foreign[0]}) and no {what}; name another")
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    busy = f"another process is running a {what} in {folder}"
    with locked(folder / ".lock", folder, if_held=busy):
        try:
            yield
        finally:
            if new and {path.name for path in folder.iterdir()} == {".lock"}:
                _remove(new)


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Make a folder of results, unless it is there, and hold it for this process alone.

    Raises:
        OutputError: It cannot be made, or another process is at work in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    with locked(folder / ".lock", folder, if_held=f"another process is at work in {folder}"):
        yield


def _remove(folders: Sequence[Path]) -> None:
    """Remove folders with nothing but the lock in them, the inner ones first."""
    with suppress(OSError):  # what another process has put there meanwhile stays
        (folders[0] / ".lock").unlink()
        for folder in folders:
            folder.rmdir()


def reconcile_settings(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    choosing: Collection[str] = (),
    later: Collection[str] = (),
    what: str = "study",
) -> dict[str, Any]:
    """The settings of a run in a folder, which must be those that the folder holds already.

    A dtype or device that `settings` holds as None was left open by the user: the folder's is
    taken. None of anything else is a setting too (no limit), and must be the folder's.

    Args:
        folder: Folder of a run; a new one takes the settings as they are.
        settings: What is asked for.
        choosing: Names of settings that only choose cells, and may differ.
        later: Names of settings that may be absent, now or in the folder.
        what: Name of such a run, in errors.

    Raises:
        RunError: The folder has other settings, or its settings cannot be read.
    """
    path = folder / SETTINGS
    if not path.exists():
        return dict(settings)
    try:
        stored = {**{k: v for k, v in _ABSENT.items() if k in settings}, **read_settings(path)}
        left_open = [key for key in _OPEN if key in settings and settings[key] is None]
        kept = [key for key in later if key in stored and key not in settings]
        merged = {**settings, **{key: stored[key] for key in (*left_open, *kept)}}
        for key in _OPEN:
            if not isinstance(merged.get(key), str | None):
                raise TypeError(f"{key} must be text; got {merged.get(key)!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"not the settings of a {what} ({type(error).__name__}: {error})"
        raise RunError(f"{path}: {why}; remove it to go on") from error
    if unknown := merged.keys() - stored.keys() - {*choosing, *later}:
        why = f"was begun without {', '.join(sorted(unknown))}, so by another command"
        raise RunError(f"the {what} in {folder} {why}; name another folder with -o")
    compared = [k for k in merged if k not in choosing and (k in stored or k not in later)]
    asked = json.loads(json.dumps({key: merged[key] for key in compared}))
    if differences := _differences({key: stored[key] for key in compared}, asked):
        why = f"was begun with {'; '.join(differences)}"
        raise RunError(f"the {what} in {folder} {why}; name another folder with -o")
    return merged


def _differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """The settings that differ, with both values; within mappings of the same names as well."""
    differences = []
    for key in dict.fromkeys((*asked, *stored)):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
            differences += [f"{key} {inner}" for inner in _differences(old, new)]
        elif old != new:
            differences.append(f"{key} {old!r}, not {new!r}")
    return differences


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a file.

    Raises:
        OSError, ValueError, TypeError: It cannot be read, or holds something else.
    """
    if not path.is_file():  # a pipe would be waited for
        raise TypeError(f"{path} is no file")
    settings = json.loads(path.read_text(encoding="utf8"))
    if not isinstance(settings, dict):
        raise TypeError(f"{path} holds no settings")
    return settings


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings whole or not at all."""
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
