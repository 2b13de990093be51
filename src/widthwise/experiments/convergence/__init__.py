"""Convergence of finite networks to their limit as the width grows."""

from .figure import draw_convergence, draw_movement
from .page import converge_page
from .results import convergence_line

__all__ = [
    "converge_page",
    "convergence_line",
    "draw_convergence",
    "draw_movement",
]
