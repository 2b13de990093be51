"""GGUF files: cut to a plan with quantized rows kept bit for bit, or written from a folder."""

from .export import ExportResult, export_gguf
from .file_types import FILE_TYPES
from .vocabulary import two_copies, vocabulary_note
from .writer import GgufResult, down_alignment, write_pruned_gguf

__all__ = [
    "FILE_TYPES",
    "ExportResult",
    "GgufResult",
    "down_alignment",
    "export_gguf",
    "two_copies",
    "vocabulary_note",
    "write_pruned_gguf",
]
