"""Cutting GLU blocks: score, plan, apply."""

from .api import check_calibration, check_gguf_parent, make_plan, prune_checkpoint, prune_gguf
from .calibration.activations import activation_norms
from .calibration.second_moments import Calibration, calibrate
from .calibration.text import TextOptions
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
from .drafts import draft_criterion
from .healing.api import Healing, distil, heal
from .healing.record import inspect_healing
from .healing.settings import HealSettings
from .nested import Nested
from .opened_model import OpenedModel, open_model
from .refitting.refit import refit, refits
from .selection import plan_of, score_group, select
from .sensitivity import Allocation, allowed_widths, per_layer
from .spec import PruneOptions, PruneSpec, WidthOptions, resolve_target, spec_of

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
    "OpenedModel",
    "PruneOptions",
    "PruneSpec",
    "TextOptions",
    "WidthOptions",
    "activation",
    "activation_norms",
    "allowed_widths",
    "calibrate",
    "check_calibration",
    "check_gguf_parent",
    "distil",
    "draft_criterion",
    "heal",
    "inspect_healing",
    "keep_highest",
    "make_plan",
    "open_model",
    "per_layer",
    "plan_of",
    "ppm_activation",
    "prune_checkpoint",
    "prune_gguf",
    "random",
    "refit",
    "refits",
    "resolve_target",
    "score_group",
    "select",
    "spec_of",
]
