"""The coordinate check of a parametrization: its lines, its figure and its page."""

from .figure import draw_coordinates
from .page import check_page, check_rows, start_rows
from .results import coordinates_line

__all__ = [
    "check_page",
    "check_rows",
    "coordinates_line",
    "draw_coordinates",
    "start_rows",
]
