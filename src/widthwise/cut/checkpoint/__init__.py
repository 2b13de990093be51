"""Checkpoints on disk: found, read by slice, cut as a stream, written whole or not at all."""

from .by_layers import KEPT_BYTES, ModelByLayers, WholeModel, renamed_parts
from .compact import check_compact
from .companions import companions, copy_companions
from .lineage import HEALING_FILE, PLAN_FILE, Lineage, lineage_of
from .load import check_complete, check_loadable, load_model
from .model_card import license_lines, license_words, loading_code
from .model_class import check_causal_class
from .reader import INDEX, Checkpoint, check_free_disk, free_disk_bytes, read_json
from .refit_record import REFIT_FILE, inspect_refit, read_refit_record
from .resolve import ModelSource, finding, is_gguf, names_folder, parent_of, resolve_model
from .stored_parts import Index, stored_parts
from .tokenizer import check_tokens, load_tokenizer, stored_chat_template, table_rows
from .write_options import Layout, StoreOptions, WriteOptions, stored_dtype
from .writer import Progress, refuse_overlap, write_pruned

__all__ = [
    "HEALING_FILE",
    "INDEX",
    "KEPT_BYTES",
    "PLAN_FILE",
    "REFIT_FILE",
    "Checkpoint",
    "Index",
    "Layout",
    "Lineage",
    "ModelByLayers",
    "ModelSource",
    "Progress",
    "StoreOptions",
    "WholeModel",
    "WriteOptions",
    "check_causal_class",
    "check_compact",
    "check_complete",
    "check_free_disk",
    "check_loadable",
    "check_tokens",
    "companions",
    "copy_companions",
    "finding",
    "free_disk_bytes",
    "inspect_refit",
    "is_gguf",
    "license_lines",
    "license_words",
    "lineage_of",
    "load_model",
    "load_tokenizer",
    "loading_code",
    "names_folder",
    "parent_of",
    "read_json",
    "read_refit_record",
    "refuse_overlap",
    "renamed_parts",
    "resolve_model",
    "stored_chat_template",
    "stored_dtype",
    "stored_parts",
    "table_rows",
    "write_pruned",
]
