"""Whether the best learning rate stays when a network gets wider."""

from .figure import draw_transfer
from .optimum import LrCurve, OptimumShift, check_grid, optimum_shifts
from .page import transfer_page
from .text import TokenRows, read_rows
from .train import KINDS, TrainingRun, TrainingSettings, check_fits, train_glu

__all__ = [
    "KINDS",
    "LrCurve",
    "OptimumShift",
    "TokenRows",
    "TrainingRun",
    "TrainingSettings",
    "check_fits",
    "check_grid",
    "draw_transfer",
    "optimum_shifts",
    "read_rows",
    "train_glu",
    "transfer_page",
]
