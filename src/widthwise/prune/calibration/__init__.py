"""Calibration text, and what a model computes on it, layer by layer."""

from .activations import activation_norms
from .answers import answered_at_once
from .layerwise import LayerwiseRunner
from .moments import FitAndHoldout, Moments
from .second_moments import Calibration, LayerCallback, calibrate
from .text import (
    BLOCK_TOKENS,
    TOKENS,
    CalibrationText,
    TextRequest,
    TextSource,
    check_source,
    least_tokens,
    read_text,
    text_of,
)
from .text_mix import whole_paths

__all__ = [
    "BLOCK_TOKENS",
    "TOKENS",
    "Calibration",
    "CalibrationText",
    "FitAndHoldout",
    "LayerCallback",
    "LayerwiseRunner",
    "Moments",
    "TextRequest",
    "TextSource",
    "activation_norms",
    "answered_at_once",
    "calibrate",
    "check_source",
    "least_tokens",
    "read_text",
    "text_of",
    "whole_paths",
]
