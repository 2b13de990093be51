"""Parameters are read out of a GGUF file by rows."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from converted_gguf import model_of
from families import built
from tiny_gguf import write_gguf
from transformers import Qwen3MoeConfig

from widthwise.assets.gguf_file import checked_reader
from widthwise.assets.gguf_head import write_head
from widthwise.assets.gguf_weights import GgufWeights
from widthwise.errors import CheckpointError


def opened(path: Path, dtype: str = "float32") -> GgufWeights:
    reader, head = checked_reader(path), path.parent / "head"
    head.mkdir(exist_ok=True)
    write_head(path, reader, head, dtype)
    return GgufWeights(path, reader, head, dtype)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_rows_are_those_of_the_model(tmp_path: Path, step: int) -> None:
    model = model_of(attention_bias=True)
    write_gguf(model, tmp_path / "tiny.gguf")
    weights = opened(tmp_path / "tiny.gguf")
    for name, tensor in model.named_parameters():
        cuts = range(0, len(tensor), step)
        rows = [weights.rows(name, n, min(n + step, len(tensor))) for n in cuts]
        assert torch.equal(torch.cat(rows), tensor), name
    weights.close()
    first = weights.rows("model.norm.weight", 0, 3)  # opens the file again
    assert torch.equal(first, model.model.norm.weight[:3])


def test_experts_are_read_one_by_one(tmp_path: Path) -> None:
    model = built(Qwen3MoeConfig, num_experts=4, moe_intermediate_size=24, num_experts_per_tok=2)

    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_expert_count(4)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(24)

    write_gguf(model, tmp_path / "tiny.gguf", "qwen3moe", add)
    weights, name = opened(tmp_path / "tiny.gguf"), "model.layers.1.mlp.experts.gate_up_proj"
    assert torch.equal(weights.rows(name, 2, 4), model.state_dict()[name][2:4])


def test_quantized_rows_are_decoded_by_the_package(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(7, 64)).astype(np.float32)
    packed = gguf.quants.quantize(rows, gguf.GGMLQuantizationType.Q8_0)
    model = model_of(tie_word_embeddings=False, vocab_size=101)

    def add(writer: gguf.GGUFWriter) -> None:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor("blk.9.ffn_up.weight", packed, raw_dtype=kind)

    write_gguf(model, tmp_path / "tiny.gguf")
    weights = opened(tmp_path / "tiny.gguf", "bfloat16")
    write_gguf(model, tmp_path / "more.gguf", extra=add)
    other = checked_reader(tmp_path / "more.gguf")
    quantized = GgufWeights(tmp_path / "more.gguf", other, tmp_path / "head", "bfloat16")
    name = "model.layers.0.mlp.up_proj.weight"
    place = quantized.parameters[name]
    quantized.parameters[name] = type(place)(
        tensors=("blk.9.ffn_up.weight",), shape=(7, 64), layout="plain"
    )
    expected = torch.from_numpy(gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q8_0))
    assert torch.equal(quantized.rows(name, 2, 6), expected[2:6].to(torch.bfloat16))
    assert weights.specs[name].dtype == "BF16"


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    weights = opened(tmp_path / "tiny.gguf")
    whole = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="has become shorter while it was read"):
        [weights.rows(name, 0, spec.shape[0]) for name, spec in weights.specs.items()]
