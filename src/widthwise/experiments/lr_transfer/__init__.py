"""Transfer of the best learning rate to wider networks."""

from .figure import draw_transfer
from .optimum import LrCurve, OptimumShift, check_grid, loss_sentences, optimum_shifts
from .page import transfer_page
from .results import FORMAT
from .run import networks, run_settings, run_transfer, transfer_jobs
from .text import TokenRows, read_rows
from .train import KIND_NAMES, KINDS, TrainingRun, TrainingSettings, check_fits, train_small

__all__ = [
    "FORMAT",
    "KINDS",
    "KIND_NAMES",
    "LrCurve",
    "OptimumShift",
    "TokenRows",
    "TrainingRun",
    "TrainingSettings",
    "check_fits",
    "check_grid",
    "draw_transfer",
    "loss_sentences",
    "networks",
    "optimum_shifts",
    "read_rows",
    "run_settings",
    "run_transfer",
    "train_small",
    "transfer_jobs",
    "transfer_page",
]
