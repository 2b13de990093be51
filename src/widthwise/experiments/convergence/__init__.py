"""Convergence of finite networks to their limit as the width grows."""

from .figure import draw_convergence
from .page import check_page, converge_page
from .results import convergence_line, coordinates_line

__all__ = [
    "check_page",
    "converge_page",
    "convergence_line",
    "coordinates_line",
    "draw_convergence",
]
