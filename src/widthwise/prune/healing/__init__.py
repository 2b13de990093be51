"""Healing: a pruned model is trained to give the logits of its dense parent."""

from .api import Distilled, Healing, NotBetter, distil, heal
from .heldout import HeldOut, gain_verdict, nats_text
from .learning_rate import rate_factors, width_change
from .record import HealingRecord, LrTrial, TrainingStep, inspect_healing, read_healing_record
from .settings import HealSettings

__all__ = [
    "Distilled",
    "HealSettings",
    "Healing",
    "HealingRecord",
    "HeldOut",
    "LrTrial",
    "NotBetter",
    "TrainingStep",
    "distil",
    "gain_verdict",
    "heal",
    "inspect_healing",
    "nats_text",
    "rate_factors",
    "read_healing_record",
    "width_change",
]
