"""Cutting GLU blocks: score, plan, apply."""

from .api import make_plan, prune_checkpoint, shard_limit
from .asked import check_calibration_of, check_text, selection_of
from .calibrating import Calibration, calibrate
from .calibration import activation_norms
from .checkpoint import (
    Checkpoint,
    check_compact,
    check_loadable,
    check_tokens,
    finding,
    inspect_refit,
    lineage_of,
    load_model,
    load_tokenizer,
    locate,
    refuse_overlap,
    stored_dtype,
    table_rows,
    tokenizer_in,
    write_pruned,
)
from .fitting import LayerFit
from .healing import Healing, HealSettings, distil, heal, inspect_healing
from .importance import CALIBRATED, CRITERIA, MOMENT_CRITERIA
from .nested import Nested
from .plan import Plan
from .refitting import Refit, refit, refits
from .scoring import (
    ModelWeights,
    Selection,
    check_refit_wanted,
    fingerprint,
    select,
    target_of,
)
from .sensitivity import Allocation, allowed_widths, per_layer
from .surgery import apply, apply_

__all__ = [
    "CALIBRATED",
    "CRITERIA",
    "MOMENT_CRITERIA",
    "Allocation",
    "Calibration",
    "Checkpoint",
    "HealSettings",
    "Healing",
    "LayerFit",
    "ModelWeights",
    "Nested",
    "Plan",
    "Refit",
    "Selection",
    "activation_norms",
    "allowed_widths",
    "apply",
    "apply_",
    "calibrate",
    "check_calibration_of",
    "check_compact",
    "check_loadable",
    "check_refit_wanted",
    "check_text",
    "check_tokens",
    "distil",
    "finding",
    "fingerprint",
    "heal",
    "inspect_healing",
    "inspect_refit",
    "lineage_of",
    "load_model",
    "load_tokenizer",
    "locate",
    "make_plan",
    "per_layer",
    "prune_checkpoint",
    "refit",
    "refits",
    "refuse_overlap",
    "select",
    "selection_of",
    "shard_limit",
    "stored_dtype",
    "table_rows",
    "target_of",
    "tokenizer_in",
    "write_pruned",
]
