"""The folder of a run: one process at a time, and settings that stay as they are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..io import locked, write_text

SETTINGS = "study.json"
RECORDS = "records.jsonl"
TRIALS = "trials.jsonl"
RESULTS = "results.jsonl"
STAGES = "stages.jsonl"
HELD = {
    RECORDS: "a study",
    TRIALS: "a search",
    RESULTS: "results of an experiment",
    STAGES: "a shrunk model",
}
_LEFTOVERS = (".lock", ".*.partial")  # of a run that was killed at once
_OPEN = ("dtype", "device")  # settings that a user may leave to this machine
_ABSENT = {"thinking": False}  # settings of a folder that an older version did not write


def records_in(folder: Path) -> str | None:
    """Name of the file of records by which a folder is one of a kind of run; None without one."""
    return next((name for name in HELD if (folder / name).exists()), None)


class RunFolder:
    """A folder for one run, with its settings in a file.

    Args:
        path: Path of the folder.
        what: Name of such a run, in errors.
        records: Name of its file of records.
        begun: Pattern of other files that such a run may leave before its first record.
    """

    def __init__(
        self, path: str | Path, *, what: str = "study", records: str = RECORDS, begun: str = ""
    ) -> None:
        self.path = Path(path)
        self._what = what
        self._records = records
        self._begun = begun

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and hold it for this process alone.

        A folder that was new is removed again if nothing is written into it, or nothing but the
        settings of a run that then fails.

        Raises:
            OutputError: It cannot be written, or another process is running in it.
            RunError: It holds other files and no run; nothing is written into it then.
        """
        path, what = self.path, self._what
        self.check_begun()
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        busy = f"another process is running a {what} in {path}"
        with locked(path / ".lock", path, if_held=busy):
            spare = {".lock"}
            try:
                yield
            except Exception:
                spare.add(SETTINGS)
                raise
            finally:
                if new and {file.name for file in path.iterdir()} <= spare:
                    _remove(new)

    def check_kind(self) -> None:
        """Raise RunError where the folder holds another kind of run."""
        found = records_in(self.path)
        if found is not None and found != self._records:
            raise self._refused(HELD[found])

    def check_begun(self) -> None:
        """See that the folder is new or empty, or that such a run began it; writes nothing.

        Raises:
            RunError: It holds another kind of run, or other files.
        """
        self.check_kind()
        has_settings = self._records != RESULTS and (self.path / SETTINGS).exists()
        if not self.path.is_dir() or self._has_records or has_settings:
            return
        if foreign := self._foreign():
            raise self._refused(f"other files ({foreign[0]})")

    def _refused(self, holds: str) -> RunError:
        return RunError(
            f"{self.path} holds {holds}, and is not a folder of a {self._what}; name another "
            "folder with -o"
        )

    @property
    def _has_records(self) -> bool:
        return (self.path / self._records).exists()

    def _foreign(self) -> list[str]:
        """Names of the files that no such run leaves before its first record."""
        own = (*_LEFTOVERS, self._begun)
        names = sorted(file.name for file in self.path.iterdir())
        return [name for name in names if not any(fnmatch(name, pattern) for pattern in own)]

    def agree(
        self,
        settings: Mapping[str, Any],
        *,
        choosing: Collection[str] = (),
        later: Collection[str] = (),
    ) -> dict[str, Any]:
        """The settings of the run, which must be those that the folder holds already.

        A dtype or device that `settings` holds as None was left open by the user: the folder's is
        taken. None of anything else is a setting too (no limit), and must be the folder's.

        Args:
            settings: What is asked for; a new folder takes it as it is.
            choosing: Names of settings that only choose cells, and may differ.
            later: Names of settings that may be absent, now or in the folder.

        Raises:
            RunError: The folder has other settings, or its settings cannot be read.
        """
        if not (self.path / SETTINGS).exists():
            return dict(settings)
        left_open = [key for key in _OPEN if key in settings and settings[key] is None]
        stored = {k: v for k, v in _ABSENT.items() if k in settings} | self._stored(left_open)
        kept = [key for key in later if key in stored and key not in settings]
        merged = {**settings, **{key: stored[key] for key in (*left_open, *kept)}}
        prefix = f"the {self._what} in {self.path} was started"
        if unknown := merged.keys() - stored.keys() - {*choosing, *later}:
            names = ", ".join(sorted(unknown))
            raise RunError(
                f"{prefix} without {names}, by another command; name another folder with -o"
            )
        compared = [k for k in merged if k not in choosing and (k in stored or k not in later)]
        asked = json.loads(json.dumps({key: merged[key] for key in compared}))
        if differences := _differences({key: stored[key] for key in compared}, asked):
            raise RunError(f"{prefix} with {'; '.join(differences)}; name another folder with -o")
        return merged

    def _stored(self, left_open: Collection[str]) -> dict[str, Any]:
        """The settings in the folder, with a text for each that was left open."""
        path = self.path / SETTINGS
        try:
            settings = read_settings(path)
            for key in left_open:
                if key not in settings and not self._has_records:
                    raise RunError(
                        f"{path} holds no {key}: it is of another command; name another folder "
                        "with -o"
                    )
                if not isinstance(settings[key], str | None):
                    raise TypeError(f"{key} must be text; got {settings[key]!r}")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            why = f"not the settings of a {self._what} ({type(error).__name__}: {error})"
            is_spare = self._has_records or self._foreign() == [SETTINGS]
            advice = "remove this file to continue" if is_spare else "name another folder with -o"
            raise RunError(f"{path}: {why}; {advice}") from error
        return settings

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings, as agreed, whole or not at all."""
        write_text(self.path / SETTINGS, json.dumps(settings, indent=2) + "\n")


def _remove(folders: Sequence[Path]) -> None:
    """Remove folders with nothing but lock and settings in them, the inner ones first."""
    with suppress(OSError):  # what another process has put there meanwhile stays
        (folders[0] / SETTINGS).unlink(missing_ok=True)
        (folders[0] / ".lock").unlink()
        for folder in folders:
            folder.rmdir()


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
