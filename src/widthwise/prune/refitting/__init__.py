"""Refits: down_proj made anew by least squares after neurons are removed."""

from .layer_fit import LAMS, Cut, layer_cuts, narrowed, neuron_order
from .refit import refit, refits
from .ridge import Ridge, energy, lost_weight, obs_order

__all__ = [
    "LAMS",
    "Cut",
    "Ridge",
    "energy",
    "layer_cuts",
    "lost_weight",
    "narrowed",
    "neuron_order",
    "obs_order",
    "refit",
    "refits",
]
