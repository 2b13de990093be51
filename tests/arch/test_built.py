"""Counts are those of the model that transformers builds from the very files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import FAMILIES, SHAPE, tiny
from llava_models import llava
from safetensors.torch import load_file, save_file

from widthwise.arch import counts_at
from widthwise.cut import ModelWeights
from widthwise.cut.checkpoint import Checkpoint
from widthwise.cut.checkpoint import reader as read


def with_head(folder: Path, name: str, *, equal: bool, dtype: torch.dtype | None = None) -> None:
    """A saved checkpoint with its head stored beside its embeddings, perhaps in another dtype."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    of_table = next(n for n in tensors if n.endswith("embed_tokens.weight"))
    table = tensors[of_table]
    dtype = dtype or table.dtype
    table = table.to(dtype).to(table.dtype)  # numbers that both can hold
    head = table.clone()
    head[-1, -1] += 0 if equal else 1  # the last number of all
    save_file({**tensors, of_table: table, name: head.to(dtype)}, file, {"format": "pt"})


def drop(folder: Path, key: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))


def both(folder: Path, model_class: Any = hf.AutoModelForCausalLM) -> tuple[int, int]:
    """Parameters as counted, and as built."""
    model = model_class.from_pretrained(folder)
    built = sum(parameter.numel() for parameter in model.parameters())
    assert counts_at(ModelWeights(model).architecture).parameters == built
    return counts_at(Checkpoint(folder).architecture).parameters, built


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_beside_embeddings_counts_as_the_class_ties_it(
    family: str, equal: bool, tmp_path: Path
) -> None:
    """By the default of its class, as hub files leave the key out; and only where it is equal."""
    is_tied = FAMILIES[family]().tie_word_embeddings
    tiny(family, tie_word_embeddings=is_tied).save_pretrained(tmp_path)
    if is_tied:
        with_head(tmp_path, "lm_head.weight", equal=equal)
    drop(tmp_path, "tie_word_embeddings")
    counted, built = both(tmp_path)
    assert counted == built


@pytest.mark.parametrize("equal", [True, False])
def test_small_chunks_compare_a_head_alike(
    equal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "COMPARED_BYTES", 200)
    tiny("llama", tie_word_embeddings=True).save_pretrained(tmp_path)
    with_head(tmp_path, "lm_head.weight", equal=equal)
    counted, built = both(tmp_path)
    assert counted == built
    bytes_stored = counts_at(Checkpoint(tmp_path).architecture).weight_bytes
    assert bytes_stored == sum(t.nbytes for t in load_file(tmp_path / "model.safetensors").values())


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float8_e4m3fn])
def test_a_head_in_another_dtype_is_compared_by_its_numbers(
    dtype: torch.dtype, equal: bool, tmp_path: Path
) -> None:
    tiny("llama", tie_word_embeddings=True).to(torch.bfloat16).save_pretrained(tmp_path)
    with_head(tmp_path, "lm_head.weight", equal=equal, dtype=dtype)
    counted, built = both(tmp_path)
    assert counted == built


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize("where", ["top", "section"])
def test_a_head_of_a_nested_model_counts_as_it_is_built(
    where: str, equal: bool, tmp_path: Path
) -> None:
    llava(tie_word_embeddings=True).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["tie_word_embeddings"] = where == "top"
    config["text_config"]["tie_word_embeddings"] = where == "section"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with_head(tmp_path, "language_model.lm_head.weight", equal=equal)
    counted, built = both(tmp_path, hf.LlavaForConditionalGeneration)
    assert counted == built


def test_stored_buffers_are_no_parameters(tmp_path: Path) -> None:
    """Gemma 4 stores a scalar for each layer, which is a buffer."""
    shape = {**SHAPE, "global_head_dim": 8, "vocab_size_per_layer_input": 101}
    shape |= {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0}
    torch.manual_seed(0)
    config = hf.Gemma4TextConfig(**shape)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    assert any(name.endswith("layer_scalar") for name in load_file(tmp_path / "model.safetensors"))
    counted, built = both(tmp_path)
    assert counted == built


@pytest.mark.parametrize(
    "name", ["score.weight", "mtp.layers.0.self_attn.q_proj.weight", "value_head.summary.bias"]
)
def test_what_the_class_has_no_place_for_is_no_parameter(name: str, tmp_path: Path) -> None:
    """A head of another task, a draft layer: transformers leaves them out."""
    tiny("llama").save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({**load_file(file), name: torch.ones(8, 8)}, file, {"format": "pt"})
    counted, built = both(tmp_path)
    assert counted == built
