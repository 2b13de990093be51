"""Plans of which neurons stay, and the cut of tensors, models and checkpoints by them."""

from .draft_plan import DraftPlan
from .in_memory import apply, apply_, narrow_tensor, owner_of, set_sizes
from .plan import MIXTURE_FORMAT, Plan
from .planned_width import PlannedKind, PlannedWidth
from .refit_result import (
    LEAST_LAM,
    MOST_LAM,
    CalibrationSource,
    LayerFit,
    Refit,
    RowScales,
    ScaleTuning,
    TextLoss,
)
from .tensor_cut import cut_tensor, scaled_rows
from .weights import (
    CHUNK_BYTES,
    DraftWeights,
    ModelWeights,
    Weights,
    check_finite,
    check_plan,
    check_refit_wanted,
    down_rows,
    fingerprint,
    gate_or_up_rows,
    kept_widths,
    one_thread,
    scales_by_name,
)

__all__ = [
    "CHUNK_BYTES",
    "LEAST_LAM",
    "MIXTURE_FORMAT",
    "MOST_LAM",
    "CalibrationSource",
    "DraftPlan",
    "DraftWeights",
    "LayerFit",
    "ModelWeights",
    "Plan",
    "PlannedKind",
    "PlannedWidth",
    "Refit",
    "RowScales",
    "ScaleTuning",
    "TextLoss",
    "Weights",
    "apply",
    "apply_",
    "check_finite",
    "check_plan",
    "check_refit_wanted",
    "cut_tensor",
    "down_rows",
    "fingerprint",
    "gate_or_up_rows",
    "kept_widths",
    "narrow_tensor",
    "one_thread",
    "owner_of",
    "scaled_rows",
    "scales_by_name",
    "set_sizes",
]
