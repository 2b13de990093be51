"""Maximal update parametrization: what of a network's settings changes with its width."""

from .apply import initial_stds
from .coordinate_check import Coordinates, Start, coordinate_check
from .glu_network import BASE, glu_base, glu_config, glu_network, glu_start
from .listing import listing
from .parametrization import Parametrization, parametrize
from .scaling import Kind, Weight

__all__ = [
    "BASE",
    "Coordinates",
    "Kind",
    "Parametrization",
    "Start",
    "Weight",
    "coordinate_check",
    "glu_base",
    "glu_config",
    "glu_network",
    "glu_start",
    "initial_stds",
    "listing",
    "parametrize",
]
