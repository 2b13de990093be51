"""Checkpoints on disk: found, read by slice, cut as a stream, written whole or not at all."""

from .compact import check_compact
from .locate import loaded, locate
from .output import check_free, new_folder
from .read import Checkpoint
from .refitted import inspect_refit
from .write import Layout, Output, Progress, stored_dtype, write_pruned

__all__ = [
    "Checkpoint",
    "Layout",
    "Output",
    "Progress",
    "check_compact",
    "check_free",
    "inspect_refit",
    "loaded",
    "locate",
    "new_folder",
    "stored_dtype",
    "write_pruned",
]
