"""Results of `widthwise mup transfer`."""

from __future__ import annotations

from ..run_format import run_format
from .train import TrainingRun


def _check(run: TrainingRun) -> None:
    if run.width < 1 or run.lr <= 0:
        raise ValueError("a width and a learning rate must be above 0")


FORMAT = run_format(
    TrainingRun,
    command="mup transfer",
    value="loss",
    check=_check,
    key=("kind", "width", "lr", "seed"),
)
load = FORMAT.load
