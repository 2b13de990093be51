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
from .request import PruneSpec, check_calibration_of, check_text, resolve_target, spec_of
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
    "PruneSpec",
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
    "resolve_target",
    "score_layer",
    "select",
    "shard_limit",
    "spec_of",
]
