"""The coordinate check of a parametrization as a figure."""

from .figure import draw_coordinates

__all__ = [
    "draw_coordinates",
]
