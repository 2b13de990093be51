"""Calibration text, and what a model computes on it, layer by layer."""

from .activations import activation_norms
from .layerwise import LayerwiseRunner
from .moments import FitAndHoldout, Moments
from .second_moments import (
    Calibration,
    LayerCallback,
    TextSource,
    as_text,
    calibrate,
    check_text,
    load_for_calibration,
    open_weights,
    source_of,
)
from .text import BLOCK_TOKENS, TOKENS, CalibrationText, check_source, read_text, text_of

__all__ = [
    "BLOCK_TOKENS",
    "TOKENS",
    "Calibration",
    "CalibrationText",
    "FitAndHoldout",
    "LayerCallback",
    "LayerwiseRunner",
    "Moments",
    "TextSource",
    "activation_norms",
    "as_text",
    "calibrate",
    "check_source",
    "check_text",
    "load_for_calibration",
    "open_weights",
    "read_text",
    "source_of",
    "text_of",
]
