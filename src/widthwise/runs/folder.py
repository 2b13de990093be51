"""The folder of a study: its settings, its records, and the one process that may write them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..io import locked, partial_path, write_text

SETTINGS = "study.json"
RECORDS = "records.jsonl"
_OPEN = ("dtype", "device")  # settings that a user may leave to this machine
_ABSENT = {"thinking": False}  # what a folder was begun with that does not state the setting


@contextmanager
def locked_folder(folder: Path, *, what: str = "study") -> Iterator[None]:
    """Make the folder, and hold it for this process alone.

    A folder that was new goes again if nothing is written into it.

    Args:
        folder: Of the study.
        what: The study is called, in errors.

    Raises:
        OutputError: It cannot be written, or another process is running a study in it.
        RunError: It holds other files and no study; nothing is written into it then.
    """
    if folder.is_dir() and not any((folder / name).exists() for name in (SETTINGS, RECORDS)):
        own = (
            ".lock",
            partial_path(folder / SETTINGS).name,
        )  # of a run that was killed as it began
        foreign = sorted(p.name for p in folder.iterdir() if p.name not in own)
        if foreign:
            raise RunError(f"{folder} holds other files ({foreign[0]}) and no {what}; name another")
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    busy = f"another process is running a {what} in {folder}"
    with locked(folder / ".lock", folder, if_held=busy):
        try:
            yield
        finally:
            if new and {path.name for path in folder.iterdir()} == {".lock"}:
                _remove(new)


def _remove(places: Collection[Path]) -> None:
    """Folders with nothing but the lock in them, the inner ones first."""
    inner, *_ = places
    with suppress(OSError):  # what another process has put there meanwhile stays
        (inner / ".lock").unlink()
        for place in places:
            place.rmdir()


def reconcile_settings(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    choosing: Collection[str] = (),
    later: Collection[str] = (),
    what: str = "study",
) -> dict[str, Any]:
    """The settings that the folder's study was begun with; writes them where it is new.

    A dtype or device that `settings` holds as None was left open by the user: the folder's own is
    taken. None of anything else is a setting too (no limit), and must be the folder's. Those of
    `choosing` only choose cells, and may differ; those of `later` may be absent, now or when the
    folder was begun. `what` the study is called, in errors.

    Raises:
        RunError: The folder's study has other settings, or its settings cannot be read.
    """
    path = folder / SETTINGS
    if not path.exists():
        return dict(settings)
    try:
        begun = {**{k: v for k, v in _ABSENT.items() if k in settings}, **read_settings(path)}
        left_open = [key for key in _OPEN if key in settings and settings[key] is None]
        kept = [key for key in later if key in begun and key not in settings]
        merged = {**settings, **{key: begun[key] for key in (*left_open, *kept)}}
        for key in _OPEN:
            if not isinstance(merged.get(key), str | None):
                raise TypeError(f"{key} must be text; got {merged.get(key)!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        said = f"not the settings of a {what} ({why}); remove it to go on"
        raise RunError(f"{path}: {said}") from error
    if strange := merged.keys() - begun.keys() - {*choosing, *later}:
        said = f"was begun without {', '.join(sorted(strange))}, so by another command"
        raise RunError(f"the {what} in {folder} {said}; name another folder with -o")
    compared = [key for key in merged if key not in choosing and (key in begun or key not in later)]
    asked = json.loads(json.dumps({key: merged[key] for key in compared}))
    if others := _others({key: begun[key] for key in compared}, asked):
        raise RunError(
            f"the {what} in {folder} was begun with {'; '.join(others)}; name another folder "
            "with -o"
        )
    return merged


def _others(begun: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """What differs, by its name, with both values; of mappings of the same names, within them."""
    found = []
    for key in dict.fromkeys((*asked, *begun)):
        old, new = begun.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
            found += [f"{key} {other}" for other in _others(old, new)]
        elif old != new:
            found.append(f"{key} {old!r}, not {new!r}")
    return found


def read_settings(path: Path) -> dict[str, Any]:
    """What a file of settings holds.

    Raises:
        OSError, ValueError, TypeError: It cannot be read, or holds something else.
    """
    if not path.is_file():  # a pipe would be waited for
        raise TypeError(f"{path} is no file")
    found = json.loads(path.read_text(encoding="utf8"))
    if not isinstance(found, dict):
        raise TypeError(f"{path} holds no settings")
    return found


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings whole or not at all."""
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
