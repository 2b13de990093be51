"""Whether the best learning rate stays when a network gets wider."""

from .figure import draw_transfer
from .optimum import Curve, Shift, check_grid, shifts_of
from .page import transfer_page
from .text import Rows, read_rows
from .train import KINDS, Trained, Training, check_fits, train_glu

__all__ = [
    "KINDS",
    "Curve",
    "Rows",
    "Shift",
    "Trained",
    "Training",
    "check_fits",
    "check_grid",
    "draw_transfer",
    "read_rows",
    "shifts_of",
    "train_glu",
    "transfer_page",
]
