"""What records say: networks side by side, and what each difference may be called."""

from .grid import Grid, Network, arrange
from .judge import Judged, beats_its_floor, beside_control, beside_dense
from .published import published
from .shapes import Curve, Findings, Front, FrontPoint, Knee, Pair, Point, Smallest, Table
from .whole import findings_of

__all__ = [
    "Curve",
    "Findings",
    "Front",
    "FrontPoint",
    "Grid",
    "Judged",
    "Knee",
    "Network",
    "Pair",
    "Point",
    "Smallest",
    "Table",
    "arrange",
    "beats_its_floor",
    "beside_control",
    "beside_dense",
    "findings_of",
    "published",
]
