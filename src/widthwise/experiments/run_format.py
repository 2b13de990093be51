"""Runs as lines of a file: each has a value, or else a reason for none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from ..io import from_plain
from ..runs import RecordFormat, result_format

R = TypeVar("R")
_NETWORK = ("network", "width", "seed")


def run_format(
    kind: type[R],
    *,
    command: str,
    value: str,
    check: Callable[[R], None],
    key: Sequence[str] = _NETWORK,
    begun: str = "",
    settings: Mapping[str, Any] | None = None,
) -> RecordFormat[tuple[R, dict[str, Any]]]:
    """The format of a file of runs, each with its settings; see `result_format`.

    Args:
        kind: A dataclass.
        command: The command that writes them.
        value: Field that is None exactly where the run has a reason.
        check: Fails, as Python does, where a run cannot be one of that command.
        key: Fields that tell a run from all others of a file.
        begun: Pattern of other files that it may leave before the first run ends.
        settings: What lines mean that do not have these settings.
    """

    def decode(fields: dict[str, Any]) -> Any:
        run = from_plain(kind, fields)
        if (getattr(run, value) is None) != (run.reason is not None):
            raise ValueError("a run is missing exactly when a reason is given")
        check(run)
        return run

    return result_format(
        decode, key=attrgetter(*key), command=command, begun=begun, settings=settings
    )
