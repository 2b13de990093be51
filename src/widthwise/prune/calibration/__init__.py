"""Calibration text, and what a model computes on it, layer by layer."""

from .activations import activation_norms
from .layerwise import Walk
from .moments import Halves, Moments
from .second_moments import (
    Calibration,
    Source,
    Visit,
    as_text,
    calibrate,
    check_text,
    opened,
    part_of,
    weights_of,
)
from .text import BLOCK_TOKENS, TOKENS, Text, check_source, read_text, text_of

__all__ = [
    "BLOCK_TOKENS",
    "TOKENS",
    "Calibration",
    "Halves",
    "Moments",
    "Source",
    "Text",
    "Visit",
    "Walk",
    "activation_norms",
    "as_text",
    "calibrate",
    "check_source",
    "check_text",
    "opened",
    "part_of",
    "read_text",
    "text_of",
    "weights_of",
]
