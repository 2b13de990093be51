"""What a GGUF file states of its network is in the converted checkpoint, or is refused by name."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from families import tiny
from tiny_gguf import write_gguf

from widthwise import assets
from widthwise.assets import gguf_keys
from widthwise.assets.gguf_rope import rotation_of
from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import UnsupportedModelError

# Other orders of the same float32 operations; a lost scaling changes logits by more than 0.1.
CLOSE = 1e-4
TEXT = torch.arange(60)[None] % 101
YARN, LINEAR = gguf.RopeScalingType.YARN, gguf.RopeScalingType.LINEAR
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


def rope(**parameters: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10000.0, **parameters}}


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


def test_scale_of_the_largest_gemmas_goes_by_their_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GGUF does not state it: llama.cpp knows these by their layers, of which 3 stand for 46."""
    monkeypatch.setattr(gguf_keys, "_SCALE_BY_WIDTH", {"gemma2": 3})
    model = model_of("gemma2", query_pre_attn_scalar=16, sliding_window=9)
    extra: list[Write] = [
        lambda w: w.add_attn_logit_softcapping(50.0),
        lambda w: w.add_final_logit_softcapping(30.0),
        lambda w: w.add_sliding_window(9),
    ]
    assert distance(model, converted(model, tmp_path, "gemma2", *extra)) < CLOSE


@pytest.mark.parametrize(
    "changes",
    [{}, {"factor": 32.0}, {"low_freq_factor": 2.0, "high_freq_factor": 6.0},
     {"original_max_position_embeddings": 8192}, {"original_max_position_embeddings": 777}],
)  # fmt: skip
def test_llama_3_factors_give_their_parameters_back(changes: dict[str, Any]) -> None:
    """For heads of 128, as Llama's: the parameters, or others that give the same factors."""
    parameters = {**LLAMA3, **changes}
    tensor = llama3_tensor(parameters, 128, 500_000.0).astype(np.float64)
    keys = {"rope.freq_base": 500_000.0, "context_length": 131072}
    found = dict(rotation_of(keys, {"rope_freqs.weight": tensor}, 128).scaling)
    # float32 factors are given
    assert llama3_tensor(found, 128, 500_000.0) == pytest.approx(tensor, rel=1e-5)
    if "low_freq_factor" not in changes:
        assert found.pop("rope_type") == parameters.pop("rope_type")
        assert found == pytest.approx(parameters, rel=1e-3)  # rounded in float32


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            lambda w: w.add_tensor("rope_freqs.weight", np.array([1, 2, 4, 8] * 2, np.float32)),
            "factors of a rotation .* not those of Llama 3",
        ),
        (scaled(gguf.RopeScalingType.LONGROPE, 4.0), "scaled by 'longrope' without its factors"),
        (lambda w: w.add_logit_scale(0.5), r"the key llama.logit_scale \(0.5\)"),
        (lambda w: w.add_clamp_kqv(8.0), r"the key llama.attention.clamp_kqv"),
        (lambda w: w.add_uint32("llama.attention.sliding_window", 8), "attention.sliding_window"),
        (lambda w: w.add_float32("llama.new_kind_of_scale", 0.5), "the key llama.new_kind_of_sc"),
        (lambda w: w.add_rope_dimension_count(8), "the key|numbers of a head|another length"),
        (
            lambda w: w.add_tensor("blk.0.attn_q_norm.weight", np.ones(16, np.float32)),
            "the tensor blk.0.attn_q_norm.weight, for which LlamaForCausalLM has no place",
        ),
        (
            lambda w: w.add_tensor("blk.0.attn_q.bias", np.ones(64, np.float32)),
            "no tensor for model.layers",
        ),
    ],
)
def test_what_no_config_can_state_is_refused_by_name(
    tmp_path: Path, extra: Write, message: str
) -> None:
    model = model_of(max_position_embeddings=64)
    with pytest.raises(
        UnsupportedModelError, match=rf"tiny\.gguf cannot be converted: .*{message}"
    ):
        converted(model, tmp_path, "llama", extra)
    assert not (tmp_path / "out").exists()


def test_keys_that_change_nothing_are_no_reason_to_refuse(tmp_path: Path) -> None:
    model = model_of(max_position_embeddings=64)
    extra: list[Write] = [
        lambda w: w.add_logit_scale(1.0),
        lambda w: w.add_rope_scaling_finetuned(False),
        lambda w: w.add_rope_dimension_count(16),
        lambda w: w.add_uint32("llama.attention.sliding_window", 64),
        lambda w: w.add_tensor("rope_freqs.weight", np.ones(8, np.float32)),
    ]
    out = converted(model, tmp_path, "llama", *extra)
    assert distance(model, out) < CLOSE
    assert (
        json.loads((out / "config.json").read_text())["rope_parameters"]["rope_type"] == "default"
    )


def test_every_token_that_ends_a_turn_ends_a_text(tmp_path: Path) -> None:
    out = converted(model_of(), tmp_path, "llama", lambda w: w.add_eot_token_id(7))
    assert hf.GenerationConfig.from_pretrained(out).eos_token_id == [2, 7]


def test_conversion_by_an_older_rule_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    write_gguf(model_of(), tmp_path / "tiny.gguf")
    module = importlib.import_module("widthwise.cut.checkpoint.resolve")
    monkeypatch.setattr(module, "CONVERSION", 1)
    old = resolve_model(tmp_path / "tiny.gguf").path
    monkeypatch.undo()
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    assert resolve_model(tmp_path / "tiny.gguf").path != old


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (lambda w: w.add_string("split.count", "x"), "is one of x parts"),
        (lambda w: w.add_string("tokenizer.ggml.eot_token_id", "x"), "cannot be converted: .*'x'"),
    ],
)
def test_a_key_of_another_type_is_no_crash(tmp_path: Path, extra: Write, words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        converted(model_of(), tmp_path, "llama", extra)
    assert not (tmp_path / "out").exists()
