"""Cutting GLU blocks: score, plan, apply."""

from .api import make_plan, prune_checkpoint, shard_limit, target_of
from .calibration import activation_norms
from .checkpoint import Checkpoint, check_free, loaded, locate, stored_dtype, write_pruned
from .importance import CRITERIA
from .nested import Nested
from .plan import Plan
from .scoring import ModelWeights, Selection, fingerprint, select
from .surgery import apply, apply_

__all__ = [
    "CRITERIA",
    "Checkpoint",
    "ModelWeights",
    "Nested",
    "Plan",
    "Selection",
    "activation_norms",
    "apply",
    "apply_",
    "check_free",
    "fingerprint",
    "loaded",
    "locate",
    "make_plan",
    "prune_checkpoint",
    "select",
    "shard_limit",
    "stored_dtype",
    "target_of",
    "write_pruned",
]
