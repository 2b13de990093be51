"""Shapes and costs of GLU language models, from a config and a tensor index alone."""

from .counts import Counts, Traffic, counts_at, decode_traffic, prefill_traffic
from .glu import Architecture, Cut, TensorSpec, read_architecture, text_config
from .targets import Target, Width, default_alignment, paper_width, resolve

__all__ = [
    "Architecture",
    "Counts",
    "Cut",
    "Target",
    "TensorSpec",
    "Traffic",
    "Width",
    "counts_at",
    "decode_traffic",
    "default_alignment",
    "paper_width",
    "prefill_traffic",
    "read_architecture",
    "resolve",
    "text_config",
]
