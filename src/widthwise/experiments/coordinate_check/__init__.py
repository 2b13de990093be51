"""The coordinate check of a parametrization: its lines, its figure and its page."""

from .figure import draw_coordinates
from .page import check_page
from .results import coordinates_line

__all__ = [
    "check_page",
    "coordinates_line",
    "draw_coordinates",
]
