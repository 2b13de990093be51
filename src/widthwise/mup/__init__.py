"""Maximal update parametrization: the settings of a network that change with its width."""

from .apply import initial_stds
from .coordinate_check import Axis, CoordinateCheck, Stepper, TrainingSetup, coordinate_check
from .from_shapes import parametrize
from .listing import trained_table, weights_table
from .model_widths import (
    BASE,
    NetworkFamily,
    config_at,
    different_settings,
    head_notes,
    hidden_size_of,
)
from .parametrization import Parametrization
from .scaling import AskedRole, Kind, ParameterScaling
from .small_network import (
    OptimizerName,
    glu_family,
    small_network,
    small_parametrization,
    small_start,
)

__all__ = [
    "BASE",
    "AskedRole",
    "Axis",
    "CoordinateCheck",
    "Kind",
    "NetworkFamily",
    "OptimizerName",
    "ParameterScaling",
    "Parametrization",
    "Stepper",
    "TrainingSetup",
    "config_at",
    "coordinate_check",
    "different_settings",
    "glu_family",
    "head_notes",
    "hidden_size_of",
    "initial_stds",
    "parametrize",
    "small_network",
    "small_parametrization",
    "small_start",
    "trained_table",
    "weights_table",
]
