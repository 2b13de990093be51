"""First-order MAML on Omniglot: finite linear networks, their feature-learning limit, and kernels.

Source: arXiv 2011.14522, Section 8.2 and Appendix D.
"""

from .data import Omniglot, load_omniglot
from .figure import draw_runs
from .kernels import KernelMethod
from .networks import LayerScales
from .page import maml_page
from .recipes import KERNELS, LIMIT, RECIPES, RELU, MamlNetwork, MetaRecipe, recipe_of
from .results import FORMAT, load
from .run import MamlJob, run_maml
from .summary import collapse, summary
from .train import MamlResult, MamlSettings, QueryScore, meta_train

__all__ = [
    "FORMAT",
    "KERNELS",
    "LIMIT",
    "RECIPES",
    "RELU",
    "KernelMethod",
    "LayerScales",
    "MamlJob",
    "MamlNetwork",
    "MamlResult",
    "MamlSettings",
    "MetaRecipe",
    "Omniglot",
    "QueryScore",
    "collapse",
    "draw_runs",
    "load",
    "load_omniglot",
    "maml_page",
    "meta_train",
    "recipe_of",
    "run_maml",
    "summary",
]
