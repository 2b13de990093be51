"""How wide should this network be? Cut GLU language models to a width, and see what it does."""

from .arch import Architecture, Counts, Target, counts_at, read_architecture
from .errors import WidthwiseError
from .prune import Nested, Plan, activation_norms, apply, apply_, make_plan, prune_checkpoint

__all__ = [
    "Architecture",
    "Counts",
    "Nested",
    "Plan",
    "Target",
    "WidthwiseError",
    "activation_norms",
    "apply",
    "apply_",
    "counts_at",
    "make_plan",
    "prune_checkpoint",
    "read_architecture",
]
__version__ = "0.1.0"
