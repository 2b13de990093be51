"""The embedded model and the benchmark data: fetched once, checked, kept in one cache folder."""

from .converter import gguf_converter
from .embedded import (
    benchmark_rows,
    coqa_passages,
    embedded_model,
    has_embedded_model,
    ifbench_root,
    mmlu_rows,
)
from .gguf import convert_gguf
from .gguf_facts import GgufFacts, block_sizes, gguf_digest, gguf_facts
from .gguf_file import architecture_of, checked_reader, gguf_reader
from .gguf_model import GgufModel
from .named_models import (
    EMBEDDED,
    NAMED_MODELS,
    NamedModel,
    has_named_model,
    model_names,
    named_model,
)
from .wheels import cache_dir

__all__ = [
    "EMBEDDED",
    "NAMED_MODELS",
    "GgufFacts",
    "GgufModel",
    "NamedModel",
    "architecture_of",
    "benchmark_rows",
    "block_sizes",
    "cache_dir",
    "checked_reader",
    "convert_gguf",
    "coqa_passages",
    "embedded_model",
    "gguf_converter",
    "gguf_digest",
    "gguf_facts",
    "gguf_reader",
    "has_embedded_model",
    "has_named_model",
    "ifbench_root",
    "mmlu_rows",
    "model_names",
    "named_model",
]
