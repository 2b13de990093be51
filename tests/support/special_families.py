"""Tiny models whose layers keep other things than keys and values, or are called otherwise."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from text_configs import LATENT, LINEAR_HEADS, MAMBA, SHAPE

VOCAB, WIDTH = 101, 53
_OWN = {"intermediate_size": WIDTH, "vocab_size": VOCAB}
_SHAPE = {**SHAPE, **_OWN, "num_hidden_layers": 4, "head_dim": 8}
_LINEAR = {**LINEAR_HEADS, "layer_types": ["linear_attention", "full_attention"] * 2}
_GEMMA4 = {
    "global_head_dim": 8,
    "vocab_size_per_layer_input": VOCAB,
    "use_double_wide_mlp": False,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "sliding_window": 24,
}
_LATENT = {**LATENT, "head_dim": None}
_WINDOWS = {"sliding_window": 24, "layer_types": ["sliding_attention", "full_attention"] * 2}
_SHARED_4 = {**_GEMMA4, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 8}
_PER_LAYER = {**_GEMMA4, "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8}
_GEMMA3N = {
    **_WINDOWS,
    "num_kv_shared_layers": 2,
    "vocab_size_per_layer_input": VOCAB,
    "hidden_size_per_layer_input": 8,
    "laurel_rank": 8,
    "activation_sparsity_pattern": [0.0] * 4,
}
_CHUNKS = {
    "attention_chunk_size": 16,
    "intermediate_size_mlp": WIDTH,
    "num_local_experts": 1,
    "moe_layers": [],
    "no_rope_layers": [1, 1, 1, 0],
    "layer_types": ["chunked_attention"] * 3 + ["full_attention"],
}

# What widthwise cuts: linear attention, per-layer inputs, shared keys, latent keys, and others.
CUT: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3_5_text": ("Qwen3_5TextConfig", _LINEAR),
    "olmo_hybrid": ("OlmoHybridConfig", _LINEAR),
    "gemma4_plain": ("Gemma4TextConfig", {**_PER_LAYER, "hidden_size_per_layer_input": 0}),
    "gemma4_per_layer": ("Gemma4TextConfig", _PER_LAYER),
    "gemma4_shared": ("Gemma4TextConfig", _SHARED_4),
    "minicpm3": ("MiniCPM3Config", _LATENT),
    "diffllama": ("DiffLlamaConfig", {"head_dim": None}),
    "cohere2": ("Cohere2Config", _WINDOWS),
}
# What fewer tests try: tiny, some of these do not get better on other text while they learn.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "falcon_h1": ("FalconH1Config", {**MAMBA, "mamba_d_ssm": 64}),
    "bamba": ("BambaConfig", {**MAMBA, "attn_layer_indices": [1, 3], "head_dim": None}),
    "lfm2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"] * 2}),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        {
            "block_types": ["recurrent", "recurrent", "attention"],
            "lru_width": 32,
            "attention_window_size": 16,
        },
    ),
    "gemma3n_text": ("Gemma3nTextConfig", _GEMMA3N),
    "llama4_text": ("Llama4TextConfig", _CHUNKS),
}


def special(family: str, *, seed: int = 0, **changes: Any) -> Any:
    """A random model of such a family in float32, in eval mode."""
    kind, more = {**CUT, **OTHERS}[family]
    settings = {**_SHAPE, **more, **changes}
    config = getattr(hf, kind)(**{k: v for k, v in settings.items() if v is not None})
    torch.manual_seed(seed)
    return hf.AutoModelForCausalLM.from_config(config).eval()


def crossing() -> Any:
    """A text model of Mllama, which leaves two of its layers out where there is no image."""
    settings = {k: v for k, v in _SHAPE.items() if k != "head_dim"}
    rope = {"rope_type": "default", "rope_theta": 1e4}
    config = hf.MllamaTextConfig(**settings, cross_attention_layers=[1, 3], rope_parameters=rope)
    torch.manual_seed(0)
    return hf.MllamaForCausalLM(config).eval()


def batches(count: int = 4, *, tokens: int = 40, padded: bool = False) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(3)
    result = []
    for _ in range(count):
        ids = torch.randint(3, VOCAB, (3, tokens), generator=generator)
        mask = torch.ones_like(ids)
        mask[0, :9], mask[1, 30:] = 0, 0
        result.append({"input_ids": ids, **({"attention_mask": mask} if padded else {})})
    return result
