"""The embedded model and the benchmark data: fetched once, checked, kept in one cache folder."""

from .embedded import benchmark_rows as benchmark_rows
from .embedded import coqa_passages as coqa_passages
from .embedded import embedded_model as embedded_model
from .embedded import mmlu_subjects as mmlu_subjects
from .gguf import CONVERSION as CONVERSION
from .gguf import convert_gguf as convert_gguf
from .wheels import cache_dir as cache_dir
