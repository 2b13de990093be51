"""GGUF files: cut to a plan with quantized rows kept bit for bit, or written from a folder."""

from .converter import check_convertible, check_uneven
from .export import ExportResult, check_file_type, export_gguf
from .file_types import FILE_TYPES, PLAIN
from .size import block_width, most_export_bytes, most_tensor_bytes
from .vocabulary import two_copies, vocabulary_note, vocabulary_saving
from .writer import GgufResult, down_alignment, write_pruned_gguf

__all__ = [
    "FILE_TYPES",
    "PLAIN",
    "ExportResult",
    "GgufResult",
    "block_width",
    "check_convertible",
    "check_file_type",
    "check_uneven",
    "down_alignment",
    "export_gguf",
    "most_export_bytes",
    "most_tensor_bytes",
    "two_copies",
    "vocabulary_note",
    "vocabulary_saving",
    "write_pruned_gguf",
]
