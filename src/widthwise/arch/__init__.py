"""Shapes and costs of GLU language models, from a config and a tensor index alone."""

from .counts import Counts, counts_at
from .glu import Architecture, Cut, TensorSpec, read_architecture, text_config
from .targets import Target, Width, default_alignment, paper_width, resolve

__all__ = [
    "Architecture",
    "Counts",
    "Cut",
    "Target",
    "TensorSpec",
    "Width",
    "counts_at",
    "default_alignment",
    "paper_width",
    "read_architecture",
    "resolve",
    "text_config",
]
