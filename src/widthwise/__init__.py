"""How wide should this network be? Cut GLU language models to a width, and see what it does."""

from typing import Any

from .arch import Architecture, Counts, Target, counts_at, read_architecture
from .errors import WidthwiseError
from .prune import (
    Calibration,
    Nested,
    Plan,
    Refit,
    activation_norms,
    apply,
    apply_,
    calibrate,
    make_plan,
    prune_checkpoint,
    refit,
    refits,
)

__all__ = [
    "Architecture",
    "Calibration",
    "Counts",
    "Nested",
    "Plan",
    "Refit",
    "Study",
    "StudySettings",
    "Target",
    "WidthwiseError",
    "activation_norms",
    "apply",
    "apply_",
    "calibrate",
    "counts_at",
    "make_plan",
    "open_study",
    "prune_checkpoint",
    "read_architecture",
    "refit",
    "refits",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What takes long to load comes when it is asked for."""
    if name == "open_study":
        from .report.notebook import open_study

        return open_study
    if name in ("Study", "StudySettings"):
        from . import study

        return getattr(study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
