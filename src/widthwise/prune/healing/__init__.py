"""Healing: a pruned model is trained to be like its dense parent."""

from .api import Healing, heal
from .factors import rate_factors, width_change
from .judging import HeldOut, shown
from .record import inspect_healing
from .settings import HealSettings
from .training import Distilled, Step, distil

__all__ = [
    "Distilled",
    "HealSettings",
    "Healing",
    "HeldOut",
    "Step",
    "distil",
    "heal",
    "inspect_healing",
    "rate_factors",
    "shown",
    "width_change",
]
