"""A study as it lies in its folder: its settings and its records, read and never written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import RunError
from ..runs import HELD, RECORDS, SETTINGS, read_settings, records_in
from .continuations import Continuation, continuations_in
from .records import Record, is_newer, load
from .variant import DEFAULT_CRITERIA

CELLS = "cells"  # in the settings: keys of all cells of the study, measured or not


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study as far as it is measured.

    Attributes:
        path: Its folder, or the file of records.
        settings: Settings of the study; none for a file of records alone.
        records: Records of its cells, in the order in which they were first measured.
        pending: Number of its cells that have no record yet.
        texts: What its networks wrote after prompts.
    """

    path: Path
    settings: Mapping[str, Any]
    records: tuple[Record, ...]
    pending: int
    texts: tuple[Continuation, ...] = ()

    @property
    def name(self) -> str:
        """Name for a reader: that of the folder."""
        return self.path.resolve().stem if self.path.is_file() else self.path.resolve().name


def read_study(path: str | Path) -> StoredStudy:
    """Read the folder of a study, finished or not, or a file of records.

    Raises:
        RunError: There is none, it holds no records yet, they cannot be read, or they were made by
            a newer version.
    """
    path = Path(path)
    if path.is_file():
        settings: dict[str, Any] = {}
        file = path
    elif path.is_dir():
        found = records_in(path)
        if found not in (None, RECORDS):
            raise RunError(f"{path} holds {HELD[found]}, not a study: see it by widthwise report")
        settings, file = _settings_of(path), path / RECORDS
    else:
        raise RunError(f"{path}: no such folder of a study or file of records")
    records = load(file)
    keys = settings.pop(CELLS, None)
    if keys is not None:
        wanted = set(keys)
        records = [record for record in records if record.cell in wanted]
    if not records:
        raise RunError(f"{path} holds no records yet: run the study first")
    pending = 0 if keys is None else len(set(keys) - {record.cell for record in records})
    return StoredStudy(
        path=path,
        settings=settings,
        records=tuple(records),
        pending=pending,
        texts=() if path.is_file() else continuations_in(path),
    )


def usual_criteria(folder: Path) -> tuple[str, ...]:
    """The criteria of a study where none are named: of a folder those that it has widths of.

    So the command that began a study goes on with it, whatever the default was then.
    """
    with suppress(RunError):  # which the study itself gives
        settings = _settings_of(folder)
        criteria = settings.get("criteria")
        is_list = isinstance(criteria, list) and all(isinstance(each, str) for each in criteria)
        if settings.get("widths") and criteria and is_list:
            return tuple(criteria)
    return DEFAULT_CRITERIA


def _settings_of(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    if not path.exists():
        if (folder / RECORDS).exists():  # the settings were lost: the records still speak
            return {}
        raise RunError(f"{folder} is not the folder of a study: it holds no {SETTINGS}")
    try:
        settings = read_settings(path)
        made_by, keys = settings.get("widthwise", __version__), settings.get(CELLS, [])
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise TypeError(f"{CELLS} must be a list of keys")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = f"not the settings of a study ({type(error).__name__}: {error})"
        raise RunError(f"{path}: {why}") from error
    if is_newer(made_by):
        raise RunError(
            f"{folder} was made by widthwise {made_by}, newer than this one, "
            f"{__version__}: update widthwise"
        )
    return settings
