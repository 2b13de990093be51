"""Feature-learning limits: what networks become as their width grows without bound."""

from .abc import Abc, Abcd, check_least, check_positive, exponents, faithful_abcd
from .activations import ACTIVATIONS, Activation, Array, activation
from .classify import Classification, classify
from .converge import Case, Convergence, converge, kernel_cases, standard_cases
from .explain import power
from .kernels import InfiniteKernels, kernel_descent, kernels
from .limit import limit
from .mlp import train
from .mup_tables import (
    TABLES,
    Powers,
    Role,
    TableScales,
    as_table,
    fan_power,
    table_abc,
    table_abcd,
    table_scales,
)
from .particles import PARTICLES, particle_limit
from .power_law import MARGIN, NEAR, PowerLawFit, check_widths, fit_rate
from .presets import ADAM, SGD, mfp, mup, mup_adam, named, ntp, ntp_adam, sp, sp_adam, up
from .region_figure import draw_region
from .toy_task import ToyTask, Trajectory, toy

__all__ = [
    "ACTIVATIONS",
    "ADAM",
    "MARGIN",
    "NEAR",
    "PARTICLES",
    "SGD",
    "TABLES",
    "Abc",
    "Abcd",
    "Activation",
    "Array",
    "Case",
    "Classification",
    "Convergence",
    "InfiniteKernels",
    "PowerLawFit",
    "Powers",
    "Role",
    "TableScales",
    "ToyTask",
    "Trajectory",
    "activation",
    "as_table",
    "check_least",
    "check_positive",
    "check_widths",
    "classify",
    "converge",
    "draw_region",
    "exponents",
    "faithful_abcd",
    "fan_power",
    "fit_rate",
    "kernel_cases",
    "kernel_descent",
    "kernels",
    "limit",
    "mfp",
    "mup",
    "mup_adam",
    "named",
    "ntp",
    "ntp_adam",
    "particle_limit",
    "power",
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
