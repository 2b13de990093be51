"""Checkpoints on disk: found, read by slice, cut as a stream, written whole or not at all."""

from .compact import check_compact
from .lineage import Lineage, lineage_of
from .loading import check_complete, check_loadable, load_model, stored_of
from .locate import finding, locate
from .read import Checkpoint
from .refitted import inspect_refit
from .tokenizing import check_tokens, load_tokenizer, table_rows, tokenizer_in
from .write import Layout, Output, Progress, refuse_overlap, stored_dtype, write_pruned

__all__ = [
    "Checkpoint",
    "Layout",
    "Lineage",
    "Output",
    "Progress",
    "check_compact",
    "check_complete",
    "check_loadable",
    "check_tokens",
    "finding",
    "inspect_refit",
    "lineage_of",
    "load_model",
    "load_tokenizer",
    "locate",
    "refuse_overlap",
    "stored_dtype",
    "stored_of",
    "table_rows",
    "tokenizer_in",
    "write_pruned",
]
