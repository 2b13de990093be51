"""Configs with the tensors that belong to them."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf

from widthwise.arch import Architecture
from widthwise.cut import ModelWeights


def of(model: Any) -> Architecture:
    return ModelWeights(model).architecture


PUBLISHED = {
    "1B": (2048, 16, 32, 8, 64, [1235.81, 1155.30, 1074.79, 994.28, 913.77, 833.16, 752.65]),
    "3B": (3072, 28, 24, 8, 128, [3212.75, 3001.41, 2790.07, 2578.73, 2367.38, 2155.79, 1944.44]),
}


def llama32(name: str) -> Any:
    hidden, layers, heads, kv_heads, head_dim, _ = PUBLISHED[name]
    config = hf.LlamaConfig(
        hidden_size=hidden,
        intermediate_size=8192,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=128256,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return hf.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
