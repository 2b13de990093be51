"""Results of experiments as lines of a file: each holds a result and the settings behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import RunError
from ..io import write_text
from .folder import RESULTS
from .protocol import ProgressCallback
from .run import Run, WorkUnit
from .store import RecordFormat, RunStore

R = TypeVar("R")
_NO_RUN = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)


def write_lines(path: Path, runs: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of runs that were done together, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, "".join(_line(run) + "\n" for run in runs))


def result_format(
    decode: Callable[[dict[str, Any]], R],
    *,
    key: Callable[[R], Hashable],
    command: str,
    begun: str = "",
    settings: Mapping[str, Any] | None = None,
) -> RecordFormat[tuple[R, dict[str, Any]]]:
    """The format of a file of results, each a line with its settings.

    Args:
        decode: Makes a result, a dataclass, of what a line holds besides its `settings`; may raise
            what Python raises if the line holds something else.
        key: Gives the key of a result.
        command: The command that writes such lines.
        begun: Pattern of other files that it may leave before the first line.
        settings: What lines mean that do not have these settings, as older ones.
    """
    meant = dict(settings or {})

    def from_json(line: str) -> tuple[R, dict[str, Any]]:
        try:
            fields = json.loads(line)
            found = {**meant, **fields.pop("settings")}
            return decode(fields), found
        except _NO_RUN as error:
            raise RunError(str(error)) from error

    def to_json(record: tuple[Any, dict[str, Any]]) -> str:
        result, settings = record
        return _line({**asdict(result), "settings": settings})

    return RecordFormat(
        file=RESULTS,
        key=lambda record: key(record[0]),
        to_json=to_json,
        from_json=from_json,
        error=f"{{path}}:{{number}} is no run of widthwise {command} ({{error}}); "
        "take that line out, or name another folder",
        what=f"{command} experiment",
        begun=begun,
    )


def _line(run: Mapping[str, Any]) -> str:
    return json.dumps(run, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class ResultUnit(WorkUnit):
    """The work of one result.

    Attributes:
        settings: What fixes its numbers, besides its key.
    """

    settings: Mapping[str, Any]


def run_results(
    folder: Path,
    line_format: RecordFormat[tuple[R, dict[str, Any]]],
    units: Sequence[ResultUnit],
    do: Callable[[ResultUnit, ProgressCallback], R],
    *,
    on_result: Callable[[str, R], None] = lambda *_: None,
    on_progress: ProgressCallback = lambda *_: None,
) -> list[R]:
    """All results: those that the folder's file holds from there, the others are added to it.

    A result that is there is final, whatever it says. An error ends the run.

    Args:
        folder: Folder of the file; the caller holds it.
        line_format: How results are lines of the file.
        units: What is asked for.
        do: Does a unit, and reports the share of it that is done and what is being done.
        on_result: Called with the label and the result of each unit that is done now.
        on_progress: Called with the share of this run that is done (0 to 1), and what is done now.

    Raises:
        RunError: The file cannot be read, or holds a result that was made with other settings; or
            the folder holds another kind of run.
        OutputError: It cannot be written.
    """
    store = RunStore(folder, line_format)
    store.folder.check_kind()
    store.load()
    for unit in units:
        if unit.keys[0] in store.records:
            _check_same(store.path, unit, store.records[unit.keys[0]][1])

    def keep(unit: ResultUnit, report: ProgressCallback) -> None:
        result = do(unit, report)
        store.add([(result, dict(unit.settings))])
        on_result(unit.label, result)

    Run(units, store).do_here(keep, on_progress)
    return [store.records[unit.keys[0]][0] for unit in units]


def _check_same(path: Path, unit: ResultUnit, stored: Mapping[str, Any]) -> None:
    """Raise RunError where a result was made otherwise; the version of widthwise may differ."""
    asked = json.loads(json.dumps(unit.settings))
    odd = [name for name in asked if name != "widthwise" and stored.get(name) != asked[name]]
    if odd:
        raise RunError(
            f"{path} holds {unit.label}, made with other {', '.join(odd)}; give another --out, or "
            "the same options"
        )
