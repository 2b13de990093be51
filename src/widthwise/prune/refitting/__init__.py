"""Refits: down_proj fitted again by least squares after neurons are removed."""

from .layer_fit import RIDGES, GroupCut, group_cuts, neuron_order, temporarily_cut
from .refit import refit, refits
from .ridge import Removal, Ridge, obs_order, output_power

__all__ = [
    "RIDGES",
    "GroupCut",
    "Removal",
    "Ridge",
    "group_cuts",
    "neuron_order",
    "obs_order",
    "output_power",
    "refit",
    "refits",
    "temporarily_cut",
]
