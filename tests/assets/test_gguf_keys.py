"""Keys of a GGUF file: taken up, harmless, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import transformers as hf
from converted_gguf import CLOSE, Write, converted, distance, model_of, scaled

from widthwise.assets import gguf_keys
from widthwise.errors import UnsupportedModelError


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
