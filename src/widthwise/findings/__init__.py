"""What records say: networks side by side, and what each difference may be called."""

from .grid import CONTROL, Grid, Network, arrange
from .judge import Judged, beats_its_floor, beside_control, beside_dense

__all__ = [
    "CONTROL",
    "Grid",
    "Judged",
    "Network",
    "arrange",
    "beats_its_floor",
    "beside_control",
    "beside_dense",
]
