"""Tiny models of every supported family, built from configs; nothing is downloaded."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf

HIDDEN, WIDTH, LAYERS, VOCAB = 32, 53, 3, 101  # 53 is prime: no swapped axis can pass

SHAPE = {
    "hidden_size": HIDDEN,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": VOCAB,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

SEPARATE = {
    "llama": hf.LlamaConfig,
    "mistral": hf.MistralConfig,
    "qwen2": hf.Qwen2Config,
    "qwen3": hf.Qwen3Config,
    "gemma": hf.GemmaConfig,
    "gemma2": hf.Gemma2Config,
    "gemma3_text": hf.Gemma3TextConfig,
    "olmo": hf.OlmoConfig,
    "olmo2": hf.Olmo2Config,
    "granite": hf.GraniteConfig,
    "cohere": hf.CohereConfig,
    "stablelm": hf.StableLmConfig,
    "smollm3": hf.SmolLM3Config,
    "ernie4_5": hf.Ernie4_5Config,
    "exaone4": hf.Exaone4Config,
    "seed_oss": hf.SeedOssConfig,
}
FUSED = {"phi3": hf.Phi3Config, "glm4": hf.Glm4Config}
FAMILIES = {**SEPARATE, **FUSED}


def tiny(family: str, *, seed: int = 0, **changes: Any) -> Any:
    """A random model of a family in float32, in eval mode."""
    return built(FAMILIES[family], seed=seed, **changes)


def built(config_class: Any, *, seed: int = 0, **changes: Any) -> Any:
    """A random model of a class of configs in float32, in eval mode."""
    config = config_class(**{**SHAPE, **changes})
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # biases start at zero, where a wrong cut would not show
                parameter.normal_(std=0.02)
    return model.eval()


def tokens(seed: int = 7, length: int = 11) -> torch.Tensor:
    return torch.randint(3, VOCAB, (2, length), generator=torch.Generator().manual_seed(seed))
