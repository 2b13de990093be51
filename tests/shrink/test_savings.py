"""What makes a model smaller without any neuron less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from families import tiny
from safetensors.torch import load_file, save_file

from widthwise.cut.checkpoint import resolve_model
from widthwise.shrink.deployed_file import DeployedFile
from widthwise.shrink.savings import CheapSaving, cheap_savings


def found(folder: Path, dtype: str | None = None, gguf: str | None = None) -> list[CheapSaving]:
    file = DeployedFile(source=resolve_model(folder), gguf=gguf, dtype=dtype)
    return [*cheap_savings(file)]


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """A model in bfloat16 whose head holds the numbers of its table, and is not tied to it."""
    folder = tmp_path / "twice"
    tiny("llama", tie_word_embeddings=False).to(torch.bfloat16).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_vocabulary_stored_twice_is_found(twice: Path) -> None:
    (saving,) = found(twice)
    table = load_file(twice / "model.safetensors")["lm_head.weight"]
    assert saving.saved_bytes == table.numel() * 2
    assert "model.embed_tokens.weight and lm_head.weight, with equal numbers" in saving.what


def test_a_head_of_its_own_is_no_saving(twice: Path) -> None:
    weights = load_file(twice / "model.safetensors")
    weights["lm_head.weight"][-1, -1] += 1
    save_file(weights, twice / "model.safetensors", metadata={"format": "pt"})
    assert found(twice) == []


def test_numbers_in_float32_could_be_half_as_long(tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    tiny("llama").save_pretrained(folder)
    (saving,) = found(folder)
    numbers = sum(weight.numel() for weight in load_file(folder / "model.safetensors").values())
    assert saving.saved_bytes == numbers * 2
    assert found(folder, dtype="bfloat16") == []  # which is asked for already
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False


def test_the_type_of_a_gguf_file_says_how_numbers_are_stored(tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    tiny("llama").save_pretrained(folder)
    assert found(folder, gguf="f16") == []
