"""Shapes and costs of GLU language models, from a config and a tensor index alone."""

from ..io import TensorSpec
from .architecture import Architecture, TensorCut
from .counts import MAX_CONTEXT, Counts, Traffic, counts_at, decode_traffic, prefill_traffic
from .drafts import draft_note, without_draft_settings
from .glu import read_architecture, refuse_adapters
from .outside import at_width, refuse_half_cut
from .sections import WIDTH_KEY, class_value, section_name, text_config, text_path, text_value
from .targets import Target, Width, check_rounding, default_alignment, paper_width, resolve

__all__ = [
    "MAX_CONTEXT",
    "WIDTH_KEY",
    "Architecture",
    "Counts",
    "Target",
    "TensorCut",
    "TensorSpec",
    "Traffic",
    "Width",
    "at_width",
    "check_rounding",
    "class_value",
    "counts_at",
    "decode_traffic",
    "default_alignment",
    "draft_note",
    "paper_width",
    "prefill_traffic",
    "read_architecture",
    "refuse_adapters",
    "refuse_half_cut",
    "resolve",
    "section_name",
    "text_config",
    "text_path",
    "text_value",
    "without_draft_settings",
]
