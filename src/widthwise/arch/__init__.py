"""Shapes and costs of GLU language models, from a config and a tensor index alone."""

from ..io import TensorSpec
from .active import active_shares, experts_per_token
from .architecture import Architecture, GluGroup, GroupKind, TensorCut
from .counts import (
    MAX_CONTEXT,
    Counts,
    TokenFlops,
    Traffic,
    counts_at,
    decode_traffic,
    mean_size,
    prefill_traffic,
    token_flops,
)
from .drafts import carries_drafts, draft_note, without_draft_settings
from .families import in_block, is_width_key
from .first_look import refuse_beyond_stated
from .glu import read_architecture, refuse_adapters
from .layer_widths import OVERRIDES
from .left_alone import left_alone_note
from .outside import refuse_half_cut
from .quantization import quantization_of, without_quantization
from .sections import language_config, section_name, text_config, text_path, text_value
from .suitability import CutWidths, suitability_note, unsuited_kinds
from .targets import (
    Target,
    Width,
    check_rounding,
    default_alignment,
    paper_width,
    parse_width,
    resolve,
    widths_of,
)
from .width import (
    RUN_EXPERTS,
    at_layer_widths,
    at_width,
    at_widths,
    class_width,
    has_odd_rows,
    is_overridden,
    names_width,
    stated_width,
    width_key,
    width_settings,
)

__all__ = [
    "MAX_CONTEXT",
    "OVERRIDES",
    "RUN_EXPERTS",
    "Architecture",
    "Counts",
    "CutWidths",
    "GluGroup",
    "GroupKind",
    "Target",
    "TensorCut",
    "TensorSpec",
    "TokenFlops",
    "Traffic",
    "Width",
    "active_shares",
    "at_layer_widths",
    "at_width",
    "at_widths",
    "carries_drafts",
    "check_rounding",
    "class_width",
    "counts_at",
    "decode_traffic",
    "default_alignment",
    "draft_note",
    "experts_per_token",
    "has_odd_rows",
    "in_block",
    "is_overridden",
    "is_width_key",
    "language_config",
    "left_alone_note",
    "mean_size",
    "names_width",
    "paper_width",
    "parse_width",
    "prefill_traffic",
    "quantization_of",
    "read_architecture",
    "refuse_adapters",
    "refuse_beyond_stated",
    "refuse_half_cut",
    "resolve",
    "section_name",
    "stated_width",
    "suitability_note",
    "text_config",
    "text_path",
    "text_value",
    "token_flops",
    "unsuited_kinds",
    "width_key",
    "width_settings",
    "widths_of",
    "without_draft_settings",
    "without_quantization",
]
