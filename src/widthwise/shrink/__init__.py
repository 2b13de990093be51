"""A model made to fit: planned, cut, healed, compared, measured and written, in one go."""

from .goal import GOALS, Goal
from .loss import Loss, loss_of
from .plan import ShrinkPlan
from .result import ShrinkResult
from .savings import CheapSaving
from .search import Trial
from .settings import ITEMS, MINUTES, TASKS, ShrinkSettings
from .shrink import Shrink
from .speed import SpeedRatio

__all__ = [
    "GOALS",
    "ITEMS",
    "MINUTES",
    "TASKS",
    "CheapSaving",
    "Goal",
    "Loss",
    "Shrink",
    "ShrinkPlan",
    "ShrinkResult",
    "ShrinkSettings",
    "SpeedRatio",
    "Trial",
    "loss_of",
]
