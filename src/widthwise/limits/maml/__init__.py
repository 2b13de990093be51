"""First-order MAML on Omniglot: finite linear networks, their feature-learning limit, and kernels.

Source: arXiv 2011.14522, Section 8.2 and Appendix D.
"""

from .data import Omniglot, load_omniglot
from .kernels import Kernel
from .networks import Scales
from .train import KERNELS, LIMIT, RECIPES, Recipe, Result, Score, Settings, meta_train, recipe_of

__all__ = [
    "KERNELS",
    "LIMIT",
    "RECIPES",
    "Kernel",
    "Omniglot",
    "Recipe",
    "Result",
    "Scales",
    "Score",
    "Settings",
    "load_omniglot",
    "meta_train",
    "recipe_of",
]
