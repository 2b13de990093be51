"""Cutting GLU blocks: score, plan, apply."""

from .api import make_plan, prune_checkpoint, shard_limit
from .calibrating import Calibration, calibrate
from .calibration import activation_norms
from .checkpoint import (
    Checkpoint,
    check_free,
    inspect_refit,
    loaded,
    locate,
    stored_dtype,
    write_pruned,
)
from .fitting import LayerFit
from .importance import CALIBRATED, CRITERIA, MOMENT_CRITERIA
from .nested import Nested
from .plan import Plan
from .refitting import Refit, refit, refits
from .scoring import ModelWeights, Selection, fingerprint, select, target_of
from .surgery import apply, apply_

__all__ = [
    "CALIBRATED",
    "CRITERIA",
    "MOMENT_CRITERIA",
    "Calibration",
    "Checkpoint",
    "LayerFit",
    "ModelWeights",
    "Nested",
    "Plan",
    "Refit",
    "Selection",
    "activation_norms",
    "apply",
    "apply_",
    "calibrate",
    "check_free",
    "fingerprint",
    "inspect_refit",
    "loaded",
    "locate",
    "make_plan",
    "prune_checkpoint",
    "refit",
    "refits",
    "select",
    "shard_limit",
    "stored_dtype",
    "target_of",
    "write_pruned",
]
