"""Healing: a pruned model is trained to be like its dense parent."""

from .api import Healing, NotBetter, heal
from .distilling import Distilled, distil
from .heldout import HeldOut, nats_text, shown
from .lr_factors import rate_factors, width_change
from .lr_search import Trial
from .record import inspect_healing
from .settings import HealSettings
from .training import Step

__all__ = [
    "Distilled",
    "HealSettings",
    "Healing",
    "HeldOut",
    "NotBetter",
    "Step",
    "Trial",
    "distil",
    "heal",
    "inspect_healing",
    "nats_text",
    "rate_factors",
    "shown",
    "width_change",
]
