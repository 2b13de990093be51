"""What llama.cpp does with each model, by its sources of August to October 2026.

Families are those of transformers (`model_type`), architectures are what a GGUF file names.
"""

from __future__ import annotations

# Architectures whose layers are read with widths of their own: by the name of one that has a single
# width, that of one which computes the same (DeciLM is a Llama of uneven layers).
UNEVEN = {"llama": "deci", "deci": "deci"}
# Families that are written as one of these.
UNEVEN_FAMILIES = ("llama", "mistral")

# Architectures whose head is taken from the table of words where a file has none
# (TENSOR_DUPLICATED in src/models). Of others, such as gpt-oss, qwen2moe and stablelm, such a file
# is refused.
TIED = (
    "deci",
    "gemma3",
    "gemma4",
    "lfm2",
    "llama",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen35",
    "qwen35moe",
    "qwen3moe",
    "starcoder2",
)
# Families that are known to be loaded only with a head of their own.
HEAD_APART_FAMILIES = ("gpt_oss", "olmoe", "qwen2_moe", "stablelm")

# Settings that are taken for granted of a family, as GGUF cannot state them: attention is scaled by
# the size of a head, and the weights of experts have a sum of one.
HEAD_SIZE = "head size"
GRANTED: dict[str, tuple[str, bool | str]] = {
    "gemma2": ("query_pre_attn_scalar", HEAD_SIZE),
    "gemma3": ("query_pre_attn_scalar", HEAD_SIZE),
    "gemma3_text": ("query_pre_attn_scalar", HEAD_SIZE),
    "qwen3_moe": ("norm_topk_prob", True),
}
# Families of which llama.cpp wrote other tokens than transformers on a tiny random model, dense and
# cut (docs/families.md); a setting of that model, the converter or llama.cpp may be the reason.
OTHER_TOKENS = ("afmoe", "bamba", "deepseek_v3")

# Layers of the models of 70 billion parameters, whose values are shared by 8 heads and get more
# bits.
LAYERS_70B = {"llama": 80, "qwen2": 80, "deci": 80}
