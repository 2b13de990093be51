"""Maximal update parametrization: the settings of a network that change with its width."""

from .apply import initial_stds
from .coordinate_check import CoordinateCheck, TrainingSetup, coordinate_check
from .glu_network import BASE, glu_base, glu_config, glu_network, glu_start
from .listing import forward_notes, trained_table
from .parametrization import Parametrization, parametrize
from .scaling import Kind, ParameterScaling

__all__ = [
    "BASE",
    "CoordinateCheck",
    "Kind",
    "ParameterScaling",
    "Parametrization",
    "TrainingSetup",
    "coordinate_check",
    "forward_notes",
    "glu_base",
    "glu_config",
    "glu_network",
    "glu_start",
    "initial_stds",
    "parametrize",
    "trained_table",
]
