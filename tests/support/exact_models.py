"""Tiny Llamas whose files have the same bytes on every machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from healing_runs import VOCABULARY, save_tokenizer

HIDDEN, WIDTH, LAYERS = 8, 13, 2
_STEP = 2**-13  # weights are whole multiples of it


def save_exact(folder: Path) -> Path:
    """Write a checkpoint in float32, with the companions that real ones have."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Parent\n")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    save_tokenizer(folder)
    draws = np.random.default_rng(7)
    save_file(
        {
            name: (_STEP * draws.integers(-6144, 6145, shape)).astype(np.float32)
            for name, shape in _shapes()
        },
        folder / "model.safetensors",
        {"format": "pt"},
    )
    return folder


def batches() -> list[dict[str, Any]]:
    """Token ids to calibrate on, few enough for ridges within the grid."""
    import torch

    draws = np.random.default_rng(0)
    ids = [draws.integers(0, VOCABULARY, (1, 20)) for _ in range(2)]
    return [{"input_ids": torch.from_numpy(each)} for each in ids]


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    square, tall, wide = (HIDDEN, HIDDEN), (WIDTH, HIDDEN), (HIDDEN, WIDTH)
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    for layer in range(LAYERS):
        stem = f"model.layers.{layer}"
        yield from ((f"{stem}.self_attn.{part}_proj.weight", square) for part in "qkvo")
        yield from ((f"{stem}.mlp.{part}_proj.weight", tall) for part in ("gate", "up"))
        yield f"{stem}.mlp.down_proj.weight", wide
        yield f"{stem}.input_layernorm.weight", (HIDDEN,)
        yield f"{stem}.post_attention_layernorm.weight", (HIDDEN,)


_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 512,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "tie_word_embeddings": True,
    "dtype": "float32",
}
