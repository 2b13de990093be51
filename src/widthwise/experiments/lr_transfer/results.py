"""Runs of `widthwise mup transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...io import from_plain
from ...runs import read_lines

if TYPE_CHECKING:
    from .train import TrainingRun


def load(path: Path) -> list[tuple[TrainingRun, dict[str, Any]]]:
    """Whole runs of a file with their settings; see `read_lines`."""
    return read_lines(path, _trained, "mup transfer")


def _trained(found: dict[str, Any]) -> TrainingRun:
    from .train import TrainingRun

    run: TrainingRun = from_plain(TrainingRun, found)
    if (run.loss is None) != (run.reason is not None):
        raise ValueError("a run is missing exactly when a reason is given")
    if run.width < 1 or run.lr <= 0:
        raise ValueError("a width and a learning rate must be above 0")
    return run
