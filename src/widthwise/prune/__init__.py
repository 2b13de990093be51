"""Cutting GLU blocks: score, plan, apply."""

from .api import make_plan, prune_checkpoint, shard_limit
from .calibration.activations import activation_norms
from .calibration.second_moments import Calibration, calibrate
from .criteria import (
    CALIBRATED,
    CRITERIA,
    MOMENT_CRITERIA,
    ROW_CRITERIA,
    activation,
    keep_highest,
    ppm_activation,
    random,
)
from .healing.api import Healing, heal
from .healing.distilling import distil
from .healing.record import inspect_healing
from .healing.settings import HealSettings
from .nested import Nested
from .refitting.refit import refit, refits
from .request import Selection, check_calibration_of, check_text, selection_of, target_of
from .selection import plan_of, score_layer, select
from .sensitivity import Allocation, allowed_widths, per_layer

__all__ = [
    "CALIBRATED",
    "CRITERIA",
    "MOMENT_CRITERIA",
    "ROW_CRITERIA",
    "Allocation",
    "Calibration",
    "HealSettings",
    "Healing",
    "Nested",
    "Selection",
    "activation",
    "activation_norms",
    "allowed_widths",
    "calibrate",
    "check_calibration_of",
    "check_text",
    "distil",
    "heal",
    "inspect_healing",
    "keep_highest",
    "make_plan",
    "per_layer",
    "plan_of",
    "ppm_activation",
    "prune_checkpoint",
    "random",
    "refit",
    "refits",
    "score_layer",
    "select",
    "selection_of",
    "shard_limit",
    "target_of",
]
