"""Feature-learning limits: what networks become as their width grows without bound.

Source: Yang and Hu, Feature Learning in Infinite-Width Neural Networks, arXiv 2011.14522.
"""

from ..errors import LimitError
from .abc import Abc, Abcd, exponents, faithful_abcd
from .activations import ACTIVATIONS, Activation, activation
from .classify import Classification, classify
from .converge import Case, Convergence, converge, standard_cases
from .kernels import Kernels, kernel_descent, kernels
from .limit import limit
from .mlp import train
from .named import ADAM, SGD, mfp, mup, mup_adam, named, ntp, ntp_adam, sp, sp_adam, up
from .rates import Rate, fit_rate
from .tables import TABLES, Scales, as_table, table_abc, table_abcd, table_scales
from .task import Task, Trajectory, toy

__all__ = [
    "ACTIVATIONS",
    "ADAM",
    "SGD",
    "TABLES",
    "Abc",
    "Abcd",
    "Activation",
    "Case",
    "Classification",
    "Convergence",
    "Kernels",
    "LimitError",
    "Rate",
    "Scales",
    "Task",
    "Trajectory",
    "activation",
    "as_table",
    "classify",
    "converge",
    "exponents",
    "faithful_abcd",
    "fit_rate",
    "kernel_descent",
    "kernels",
    "limit",
    "mfp",
    "mup",
    "mup_adam",
    "named",
    "ntp",
    "ntp_adam",
    "sp",
    "sp_adam",
    "standard_cases",
    "table_abc",
    "table_abcd",
    "table_scales",
    "toy",
    "train",
    "up",
]
