"""How wide should this network be? Cut GLU language models to a width, and see what it does."""

from typing import Any

from .arch import Architecture, Counts, Target, counts_at, read_architecture
from .errors import WidthwiseError
from .prune import Nested, Plan, activation_norms, apply, apply_, make_plan, prune_checkpoint

__all__ = [
    "Architecture",
    "Counts",
    "Nested",
    "Plan",
    "Study",
    "StudySettings",
    "Target",
    "WidthwiseError",
    "activation_norms",
    "apply",
    "apply_",
    "counts_at",
    "make_plan",
    "open_study",
    "prune_checkpoint",
    "read_architecture",
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
