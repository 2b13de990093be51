"""A model made to fit: planned, cut, healed, compared, measured and written, in one go."""

from .goal import Goal
from .plan import ShrinkPlan
from .result import ShrinkResult, SpeedRatio
from .savings import CheapSaving
from .settings import ITEMS, MINUTES, TASKS, ShrinkSettings
from .shrink import Shrink

__all__ = [
    "ITEMS",
    "MINUTES",
    "TASKS",
    "CheapSaving",
    "Goal",
    "Shrink",
    "ShrinkPlan",
    "ShrinkResult",
    "ShrinkSettings",
    "SpeedRatio",
]
