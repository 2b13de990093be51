"""How wide should this network be? Cut GLU language models to a width, and see what it does."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"  # first, as what is imported below states it

from .arch import Architecture, Counts, Target, counts_at, read_architecture
from .cut import Plan, Refit, apply, apply_
from .cut.checkpoint import WriteOptions
from .errors import WidthwiseError
from .prune import (
    Allocation,
    Nested,
    Pruned,
    PruneOptions,
    PruneSpec,
    TextOptions,
    WidthOptions,
    allowed_widths,
    make_plan,
    per_layer,
    prune_checkpoint,
)
from .prune.calibration import Calibration, activation_norms, calibrate
from .prune.healing import HealSettings, heal
from .prune.refitting import refit, refits

if TYPE_CHECKING:
    from .prune import prune  # the room of this name, which can be called

__all__ = [
    "Allocation",
    "Architecture",
    "Calibration",
    "Counts",
    "HealSettings",
    "Nested",
    "Plan",
    "PruneOptions",
    "PruneSpec",
    "Pruned",
    "Refit",
    "Study",
    "StudySettings",
    "Target",
    "TextOptions",
    "WidthOptions",
    "WidthwiseError",
    "WriteOptions",
    "activation_norms",
    "allowed_widths",
    "apply",
    "apply_",
    "calibrate",
    "counts_at",
    "heal",
    "make_plan",
    "open_study",
    "per_layer",
    "prune",
    "prune_checkpoint",
    "read_architecture",
    "refit",
    "refits",
]


def __getattr__(name: str) -> Any:
    """What takes long to load comes when it is asked for."""
    if name == "open_study":
        from .report import open_study

        return open_study
    if name in ("Study", "StudySettings"):
        from . import study

        return getattr(study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
