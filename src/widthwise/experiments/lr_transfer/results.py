"""Results of `widthwise mup transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...io import from_plain
from ...runs import result_format

if TYPE_CHECKING:
    from .train import TrainingRun


def load(path: Path) -> list[tuple[TrainingRun, dict[str, Any]]]:
    """The results of a file, each with its settings.

    Raises:
        RunError: The file cannot be read, or a whole line is no result.
    """
    return list(FORMAT.load(path).values())


def _decode(fields: dict[str, Any]) -> TrainingRun:
    from .train import TrainingRun

    run: TrainingRun = from_plain(TrainingRun, fields)
    if (run.loss is None) != (run.reason is not None):
        raise ValueError("a run is missing exactly when a reason is given")
    if run.width < 1 or run.lr <= 0:
        raise ValueError("a width and a learning rate must be above 0")
    return run


def _key(run: TrainingRun) -> tuple[str, int, float, int]:
    return run.kind, run.width, run.lr, run.seed


FORMAT = result_format(_decode, key=_key, command="mup transfer")
