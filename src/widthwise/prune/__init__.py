"""Cutting GLU blocks: score, plan, apply."""

from .api import make_plan, prune_checkpoint, target_of
from .calibration import activation_norms
from .checkpoint import Checkpoint, locate, write_pruned
from .importance import CRITERIA
from .plan import Plan
from .scoring import ModelWeights, Selection, fingerprint, select
from .surgery import apply, apply_

__all__ = [
    "CRITERIA",
    "Checkpoint",
    "ModelWeights",
    "Plan",
    "Selection",
    "activation_norms",
    "apply",
    "apply_",
    "fingerprint",
    "locate",
    "make_plan",
    "prune_checkpoint",
    "select",
    "target_of",
    "write_pruned",
]
