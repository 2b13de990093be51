"""GGUF files of tiny models, converted, and the networks that they hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from families import tiny
from tiny_gguf import write_gguf

from widthwise import assets

# Other orders of the same float32 operations; a lost scaling changes logits by more than 0.1.
CLOSE = 1e-4


TEXT = torch.arange(60)[None] % 101


LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


Write = Callable[[Any], object]


def model_of(family: str = "llama", **changes: Any) -> Any:
    """Tiny, with a head of 16, so that frequencies of all kinds are among its 8."""
    shape = {"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 64}
    if family not in ("qwen2", "phi3"):
        shape["head_dim"] = 16
    return tiny(family, **{**shape, "initializer_range": 0.3, "head_dim": 16, **changes})


def llama3_tensor(parameters: dict[str, Any], head: int = 16, base: float = 10000.0) -> Any:
    """Factors as llama.cpp's converter computes them."""
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    old, factor = parameters["original_max_position_embeddings"], parameters["factor"]
    found = []
    for freq in 1.0 / base ** (np.arange(0, head, 2) / head):
        wave = 2 * math.pi / freq
        if wave < old / high:
            found.append(1.0)
        elif wave > old / low:
            found.append(factor)
        else:
            smooth = (old / wave - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(found, dtype=np.float32)


def scaled(kind: Any, factor: float, before: int | None = None) -> Write:
    def write(writer: Any) -> None:
        writer.add_rope_scaling_type(kind)
        writer.add_rope_scaling_factor(factor)
        if before:
            writer.add_rope_scaling_orig_ctx_len(before)

    return write


def converted(model: Any, folder: Path, architecture: str, *extra: Write) -> Path:
    def write(writer: Any) -> None:
        for one in extra:
            one(writer)

    write_gguf(model, folder / "tiny.gguf", architecture, write)
    assets.convert_gguf(folder / "tiny.gguf", folder / "out", "float32")
    return folder / "out"


def distance(model: Any, folder: Path) -> float:
    got = hf.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    with torch.no_grad():
        return float((model(TEXT).logits - got(TEXT).logits).abs().max())
