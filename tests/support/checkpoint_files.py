"""Checkpoints of tiny models on disk: what they store, and changes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from families import tiny, tokens
from healing_runs import save_tokenizer
from safetensors.torch import load_file, save_file
from torch import Tensor

from widthwise.cut.checkpoint import Checkpoint, load_model


def save_untied(folder: Path) -> Path:
    """A tiny untied Llama with a tokenizer of bytes."""
    tiny("llama", vocab_size=257, tie_word_embeddings=False).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def stored(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", {"format": "pt"})


def change(folder: Path, name: str, how: Callable[[Tensor], Tensor]) -> None:
    """Rewrite one tensor of a single-file checkpoint."""
    tensors = stored(folder)
    rewrite(folder, {**tensors, name: how(tensors[name])})


def set_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def load(folder: Path) -> Any:
    """The model as transformers loads it, in the dtype in which it is stored."""
    return hf.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


def loaded(folder: Path) -> Any:
    """The model as widthwise loads it, in float32."""
    with Checkpoint(folder) as checkpoint:
        return load_model(checkpoint, dtype=torch.float32)


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        result: Tensor = model.eval()(tokens()).logits
    return result
