"""What a GGUF file states of its network is in the converted checkpoint, or is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from converted_gguf import (
    CLOSE,
    LLAMA3,
    Write,
    converted,
    distance,
    llama3_tensor,
    model_of,
    scaled,
)
from families import built, tiny
from tiny_gguf import write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from widthwise import assets
from widthwise.assets import gguf_model
from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import CheckpointError, OutputError, UnsupportedModelError

YARN, LINEAR = gguf.RopeScalingType.YARN, gguf.RopeScalingType.LINEAR


def rope(**parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10000.0, **parameters}}


@pytest.mark.parametrize(
    ("family", "architecture", "parameters", "extra"),
    [
        ("llama", "llama", rope(rope_type="default"), []),
        ("llama", "llama", rope(rope_type="linear", factor=4.0), [scaled(LINEAR, 4.0)]),
        (
            "llama", "llama", rope(rope_type="linear", factor=4.0),
            [lambda w: w.add_float32("llama.rope.scale_linear", 4.0)],
        ),
        (
            "llama", "llama", rope(**LLAMA3),
            [lambda w: w.add_tensor("rope_freqs.weight", llama3_tensor(LLAMA3))],
        ),
        (
            "llama", "llama",
            rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16),
            [scaled(YARN, 4.0, 16)],
        ),
        (
            "qwen2", "qwen2",
            rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=20.0,
                 attention_factor=1.5),
            [scaled(YARN, 4.0, 16), lambda w: w.add_rope_scaling_yarn_beta_fast(20.0),
             lambda w: w.add_rope_scaling_attn_factors(1.5 / (1 + 0.1 * math.log(4)))],
        ),
        ("qwen3", "qwen3", rope(rope_type="linear", factor=2.0), [scaled(LINEAR, 2.0)]),
        ("llama", "llama", {"attention_bias": True}, []),
        ("phi3", "phi3", {}, []),
        (
            "phi3", "phi3",
            {**rope(rope_type="longrope", short_factor=[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5],
                    long_factor=[2.0] * 8, original_max_position_embeddings=32),
             "max_position_embeddings": 128, "original_max_position_embeddings": 32},
            [lambda w: w.add_rope_scaling_orig_ctx_len(32),
             lambda w: w.add_tensor("rope_factors_long.weight", np.full(8, 2, np.float32)),
             lambda w: w.add_tensor("rope_factors_short.weight",
                                    np.arange(1, 5, 0.5, dtype=np.float32))],
        ),
        (
            "gemma2", "gemma2",
            {"attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0, "sliding_window": 9,
             "query_pre_attn_scalar": 256},
            [lambda w: w.add_attn_logit_softcapping(3.0),
             lambda w: w.add_final_logit_softcapping(2.0), lambda w: w.add_sliding_window(9)],
        ),
        (
            "phi3", "phi3", rope(rope_type="default", partial_rotary_factor=0.5),
            [lambda w: w.add_rope_dimension_count(8)],
        ),
        (
            "gemma3_text", "gemma3",
            {"rope_parameters": {
                "full_attention": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 8.0},
                "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}},
             "sliding_window": 9, "num_hidden_layers": 6, "query_pre_attn_scalar": 256},
            [scaled(LINEAR, 8.0), lambda w: w.add_sliding_window(9)],
        ),
        ("phi3", "phi3", {"sliding_window": 9},
         [lambda w: w.add_sliding_window(9), lambda w: w.add_rope_dimension_count(16)]),
    ],
)  # fmt: skip
def test_converted_network_computes_what_the_stored_one_does(
    tmp_path: Path, family: str, architecture: str, parameters: Any, extra: list[Write]
) -> None:
    changes = {"max_position_embeddings": 64, **parameters}
    if family == "phi3":  # whose class takes a large number by default
        extra = [*extra, lambda writer: writer.add_pad_token_id(0)]
    model = model_of(family, **changes)
    assert distance(model, converted(model, tmp_path, architecture, *extra)) < CLOSE


def test_conversion_by_an_older_rule_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    monkeypatch.setattr(gguf_model, "CONVERSION", 1)
    old = resolve_model(tmp_path / "tiny.gguf").path
    monkeypatch.undo()
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    assert resolve_model(tmp_path / "tiny.gguf").path != old


def test_convert_gguf_keeps_every_weight(tmp_path: Path) -> None:
    model = tiny("llama")
    write_gguf(model, tmp_path / "tiny.gguf")
    assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "new" / "out", "float32")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "new" / "out")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    config = json.loads((tmp_path / "new" / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    assert not [key for key in config if key.startswith("_")]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "new" / "out")
    assert tokenizer.model_max_length == model.config.max_position_embeddings
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "out"]


def experts(architecture: str, shared: bool) -> Write:
    def write(writer: Any) -> None:
        writer.add_expert_count(4)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(24)
        if shared:
            writer.add_expert_shared_feed_forward_length(40)

    return write


MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}


@pytest.mark.parametrize(
    ("config", "architecture", "extra"),
    [
        (hf.LlamaConfig, "llama", None),
        (hf.Qwen2Config, "qwen2", None),
        (hf.Qwen3Config, "qwen3", None),
        (hf.Phi3Config, "phi3", lambda writer: writer.add_pad_token_id(0)),
        (hf.Gemma2Config, "gemma2", lambda writer: writer.add_sliding_window(9)),
        (hf.Gemma3TextConfig, "gemma3", lambda writer: writer.add_sliding_window(9)),
        (hf.Qwen2MoeConfig, "qwen2moe", experts("qwen2moe", shared=True)),
        (hf.Qwen3MoeConfig, "qwen3moe", experts("qwen3moe", shared=False)),
    ],
)
def test_the_stream_writes_what_transformers_reads(
    tmp_path: Path, config: Any, architecture: str, extra: Any
) -> None:
    """Bit for bit the parameters that its own reader puts into a whole model."""
    sizes = MIXTURE if "moe" in architecture else {}
    if architecture == "qwen2moe":
        sizes = {**sizes, "shared_expert_intermediate_size": 40}
    model = built(config, **sizes)
    write_gguf(model, tmp_path / "tiny.gguf", architecture, extra or (lambda _: None))
    assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", "bfloat16")
    stated = hf.AutoConfig.from_pretrained(tmp_path / "out")
    how = {"dtype": torch.bfloat16, "quantization_config": hf.GgufConfig(dequantize=True)}
    own = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", config=stated, **how
    )
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.bfloat16)
    assert set(ours.state_dict()) == set(own.state_dict())
    for name, tensor in own.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def test_convert_gguf_parses_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(gguf.GGUFReader):
        def __init__(self, *given: Any) -> None:
            opened.append(given)
            super().__init__(*given)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    write_gguf(tiny("llama"), tmp_path / "tiny.gguf")
    assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", "float32")
    assert len(opened) == 1
    assert gguf.GGUFReader is Counted  # what transformers was given meanwhile is taken back


def test_convert_gguf_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = tmp_path / "model.gguf"
    with pytest.raises(CheckpointError, match=r"model\.gguf cannot be read: No such file"):
        assets.convert_gguf(path, out, "float32")
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="is not a GGUF file: it begins with"):
        assets.convert_gguf(path, out, "float32")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n")
    with pytest.raises(CheckpointError, match="a pointer of git-lfs to the weights"):
        assets.convert_gguf(path, out, "float32")
    for kind in ("adapter", "imatrix"):
        write_gguf(tiny("llama"), path, extra=lambda writer, kind=kind: writer.add_type(kind))
        with pytest.raises(UnsupportedModelError, match=f"no model: it is of type '{kind}'"):
            assets.convert_gguf(path, out, "float32")
    write_gguf(tiny("llama"), path)
    whole = path.read_bytes()
    for size in (4, 20, 500, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="is truncated or damaged"):
            assets.convert_gguf(path, out, "float32")
    write_gguf(tiny("llama"), path, architecture="nonesuch")
    with pytest.raises(UnsupportedModelError, match="architecture 'nonesuch'"):
        assets.convert_gguf(path, out, "float32")
    assert [p.name for p in tmp_path.iterdir()] == ["model.gguf"]


def test_convert_gguf_does_not_overwrite(tmp_path: Path) -> None:
    write_gguf(tiny("llama"), tmp_path / "tiny.gguf")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="already exists"):
        assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", "float32")
