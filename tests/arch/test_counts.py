"""Traffic of a pass: what it computes and at least moves, from shapes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers as hf
from every_family import tiny_model
from families import FAMILIES, HIDDEN, LAYERS, VOCAB, WIDTH, tiny

from widthwise.arch import (
    Architecture,
    counts_at,
    decode_traffic,
    prefill_traffic,
    read_architecture,
)
from widthwise.cut import ModelWeights
from widthwise.errors import TargetError, UnsupportedModelError
from widthwise.evaluate.engine import cache_of
from widthwise.io import TensorSpec

PROMPT, BATCH, CONTEXT = 11, 3, 13
TOKEN_BYTES = (2 + 2) * 8 * 4  # keys and values of 2 heads of 8 numbers of 4 bytes, one layer


def of(model: Any) -> Architecture:
    return ModelWeights(model).architecture


@pytest.fixture
def found(llama: Any) -> Architecture:
    return of(llama)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("width", [17, None])
def test_flops_agree_with_those_per_token(family: str, width: int | None) -> None:
    found = of(tiny(family))
    counts = counts_at(found, width, context=PROMPT)
    prefill = prefill_traffic(found, width, batch=BATCH, prompt_tokens=PROMPT)
    # a mean per token times the number of tokens: rounding of one division
    assert prefill.flops == pytest.approx(
        BATCH * PROMPT * counts.prefill_flops_per_token, rel=1e-12
    )
    step = decode_traffic(found, width, batch=BATCH, context=PROMPT)
    assert step.flops == BATCH * counts.decode_flops_per_token


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_read_are_those_of_the_built_model(family: str) -> None:
    """All of them, but for a table of embeddings that is not the head: of that, rows."""
    model = tiny(family)
    parameters = 4 * sum(p.numel() for p in model.parameters())
    table = 4 * VOCAB * HIDDEN
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for batch, rows in ((1, 7), (2, 14), (100, VOCAB)):
        read = prefill_traffic(of(model), batch=batch, prompt_tokens=7).weight_bytes
        assert read == parameters - (0 if is_tied else table - rows * 4 * HIDDEN)
    read = decode_traffic(of(model), batch=5, context=7).weight_bytes
    assert read == parameters - (0 if is_tied else table - 5 * 4 * HIDDEN)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_is_as_large_as_the_one_that_is_built(family: str) -> None:
    model = tiny(family)
    with torch.no_grad():
        cache = cache_of(model(torch.full((BATCH, PROMPT), 5)))
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    prompt = prefill_traffic(of(model), batch=BATCH, prompt_tokens=PROMPT)
    assert (prompt.cache_read_bytes, prompt.cache_written_bytes) == (0, kept)
    assert prompt.num_bytes == prompt.weight_bytes + kept
    step = decode_traffic(of(model), batch=BATCH, context=PROMPT)
    assert step.cache_read_bytes == kept
    assert step.cache_written_bytes == BATCH * LAYERS * TOKEN_BYTES


def test_attention_in_the_place_of_a_block_is_counted() -> None:
    """Nemotron-H calls all of them mixer; the second of its two layers is attention."""
    found = ModelWeights(
        tiny_model("nemotron_h-dense", layers_block_type=["mlp", "full_attention"])
    ).architecture
    longer = counts_at(found, context=20).decode_flops_per_token
    assert longer - counts_at(found, context=19).decode_flops_per_token == 4 * 4 * 8


def test_a_sliding_window_keeps_what_later_tokens_see() -> None:
    model = tiny("mistral", sliding_window=5)
    with torch.no_grad():
        cache = cache_of(model(torch.full((BATCH, PROMPT), 5), use_cache=True))
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    found = of(model)
    assert kept == BATCH * LAYERS * TOKEN_BYTES * (5 - 1)
    assert prefill_traffic(found, batch=BATCH, prompt_tokens=PROMPT).cache_written_bytes == kept
    assert decode_traffic(found, batch=BATCH, context=PROMPT).cache_read_bytes == kept


def test_double_the_batch_doubles_all_but_the_weights(found: Architecture) -> None:
    tied = of(tiny("llama", tie_word_embeddings=True))
    for once, twice in (
        (prefill_traffic(tied, batch=n * 3, prompt_tokens=PROMPT) for n in (1, 2)),
        (decode_traffic(tied, batch=n * 3, context=PROMPT) for n in (1, 2)),
    ):
        assert twice.flops == 2 * once.flops
        assert twice.cache_read_bytes == 2 * once.cache_read_bytes
        assert twice.cache_written_bytes == 2 * once.cache_written_bytes
        assert twice.weight_bytes == once.weight_bytes
    once, twice = (decode_traffic(found, batch=n * 3, context=PROMPT) for n in (1, 2))
    assert twice.weight_bytes - once.weight_bytes == 3 * HIDDEN * 4  # rows looked up


def test_decode_bytes_grow_by_a_token_until_the_window() -> None:
    full, sliding = of(tiny("mistral", sliding_window=None)), of(tiny("mistral", sliding_window=7))
    for context in range(1, 12):
        first, then = (decode_traffic(full, batch=BATCH, context=context + n) for n in (0, 1))
        assert then.num_bytes - first.num_bytes == BATCH * LAYERS * TOKEN_BYTES
        first, then = (decode_traffic(sliding, batch=BATCH, context=context + n) for n in (0, 1))
        # a token sees itself and six before it
        growth = BATCH * LAYERS * TOKEN_BYTES if context < 6 else 0
        assert then.num_bytes - first.num_bytes == growth


def test_layers_may_differ_in_their_windows() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    found = of(tiny("gemma2", sliding_window=5, layer_types=kinds))
    step = decode_traffic(found, batch=1, context=20)
    assert step.cache_read_bytes == TOKEN_BYTES * (4 + 20 + 4)
    # a window of one token: it sees itself alone
    found = of(tiny("gemma2", sliding_window=1, layer_types=kinds))
    step = decode_traffic(found, batch=1, context=20)
    assert step.cache_read_bytes == TOKEN_BYTES * 20
    assert prefill_traffic(found, batch=1, prompt_tokens=20).cache_written_bytes == TOKEN_BYTES * 20


def test_half_the_width_halves_what_depends_on_it(found: Architecture) -> None:
    """Less what is there at width 0, half the neurons are half of the FLOPs and bytes."""
    for none, half, whole in (
        [prefill_traffic(found, w, batch=BATCH, prompt_tokens=PROMPT) for w in (0, 26, 52)],
        [decode_traffic(found, w, batch=BATCH, context=CONTEXT) for w in (0, 26, 52)],
    ):
        assert whole.flops - none.flops == 2 * (half.flops - none.flops) > 0
        assert whole.weight_bytes - none.weight_bytes == LAYERS * 3 * HIDDEN * 52 * 4
        assert half.weight_bytes - none.weight_bytes == LAYERS * 3 * HIDDEN * 26 * 4
        assert whole.cache_written_bytes == none.cache_written_bytes


@pytest.mark.parametrize("window", [None, 5, 16])
def test_steps_add_up(window: int | None) -> None:
    found = of(tiny("mistral", sliding_window=window))
    steps = [decode_traffic(found, batch=BATCH, context=CONTEXT + n) for n in range(7)]
    together = decode_traffic(found, batch=BATCH, context=CONTEXT, steps=7)
    for quantity in ("flops", "weight_bytes", "cache_read_bytes", "cache_written_bytes"):
        total = sum(getattr(step, quantity) for step in steps)
        assert getattr(together, quantity) == total


def test_a_prompt_of_one_token_is_a_step_without_a_past(found: Architecture) -> None:
    prompt = prefill_traffic(found, batch=BATCH, prompt_tokens=1)
    step = decode_traffic(found, batch=BATCH, context=1)
    attention = BATCH * LAYERS * 4 * 4 * 8  # of the one token more
    assert step.flops - prompt.flops == attention
    assert step.weight_bytes == prompt.weight_bytes
    assert step.cache_written_bytes == prompt.cache_written_bytes == step.cache_read_bytes


def test_another_dtype_scales_all_bytes(found: Architecture) -> None:
    for kind in (
        {d: prefill_traffic(found, batch=2, prompt_tokens=5, dtype=d) for d in (None, "BF16")},
        {d: decode_traffic(found, batch=2, context=5, dtype=d) for d in (None, "BF16")},
    ):
        assert kind[None].num_bytes == 2 * kind["BF16"].num_bytes
        assert kind[None].cache_written_bytes == 2 * kind["BF16"].cache_written_bytes
        assert kind[None].flops == kind["BF16"].flops


def test_a_head_stored_beside_its_tied_table_is_read_once(llama: Any) -> None:
    stored = {n: TensorSpec(tuple(p.shape), "F32") for n, p in llama.named_parameters()}
    config = {**llama.config.to_dict(), "tie_word_embeddings": True}
    both = read_architecture(config, stored)
    del stored["lm_head.weight"]
    one = read_architecture(config, stored)
    assert decode_traffic(both, batch=3, context=5) == decode_traffic(one, batch=3, context=5)


def test_text_does_not_pass_the_tower_for_images(llama: Any) -> None:
    stored = {n: TensorSpec(tuple(p.shape), "F32") for n, p in llama.named_parameters()}
    plain = read_architecture(llama.config.to_dict(), stored)
    nested = {name.replace("model.", "model.language_model."): s for name, s in stored.items()}
    nested["model.vision_tower.encoder.layers.0.mlp.fc1.weight"] = TensorSpec((64, 32), "F32")
    nested["model.vision_tower.norm.weight"] = TensorSpec((64,), "F32")
    config = {"model_type": "gemma3", "text_config": llama.config.to_dict()}
    config["tie_word_embeddings"] = False  # the class of the whole model ties by default
    whole = read_architecture(config, nested)
    assert decode_traffic(whole, batch=3, context=5) == decode_traffic(plain, batch=3, context=5)


def test_attention_without_plain_keys_and_values_is_refused(found: Architecture) -> None:
    tensors = {n: s for n, s in found.tensors.items() if "layers.1.self_attn.v_proj" not in n}
    latent = replace(found, tensors=tensors)
    with pytest.raises(UnsupportedModelError, match=r"layers\.1\.self_attn must have k_proj and"):
        prefill_traffic(latent, batch=1, prompt_tokens=1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"width": WIDTH + 1}, rf"width must be in \[0, {WIDTH}\]; got {WIDTH + 1}"),
        ({"width": -1}, r"width must be in .*; got -1"),
        ({"batch": 0}, r"batch must be in \[1, .*; got 0"),
        ({"context": 0}, r"context must be in \[1, .*; got 0"),
        ({"steps": 0}, r"steps must be in \[1, .*; got 0"),
        ({"dtype": "bfloat16"}, r"dtype must be one of F64, F32, F16, BF16; got bfloat16"),
    ],
)
def test_settings_out_of_range_are_named(
    setting: dict[str, Any], message: str, found: Architecture
) -> None:
    with pytest.raises(TargetError, match=message):
        decode_traffic(found, **{"batch": 1, "context": 1, **setting})


def test_a_prompt_without_tokens_is_refused(found: Architecture) -> None:
    with pytest.raises(TargetError, match=r"prompt_tokens must be in \[1, .*; got 0"):
        prefill_traffic(found, batch=1, prompt_tokens=0)


def test_a_token_passes_few_of_the_experts() -> None:
    """The shape of Qwen3-30B-A3B, which its authors state as 30.5B in all and 3.3B activated."""
    config = hf.Qwen3MoeConfig(
        vocab_size=151936, hidden_size=2048, intermediate_size=6144, num_hidden_layers=48,
        num_attention_heads=32, num_key_value_heads=4, head_dim=128, num_experts=128,
        num_experts_per_tok=8, moe_intermediate_size=768, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = hf.Qwen3MoeForCausalLM(config)
    architecture = ModelWeights(model).architecture
    dense, cut = counts_at(architecture), counts_at(architecture, 512)
    assert dense.parameters == sum(p.numel() for p in model.parameters()) == 30_532_122_624
    one = 3 * 768 * 2048  # gate, up and down of an expert
    assert dense.active_parameters == dense.parameters - 48 * 120 * one == 3_353_032_704
    assert dense.active_parameters - cut.active_parameters == 48 * 8 * one // 3
    assert dense.parameters - cut.parameters == 48 * 128 * one // 3


def test_a_token_passes_all_of_a_dense_model() -> None:
    counts = counts_at(ModelWeights(tiny("llama")).architecture, 20)
    assert counts.active_parameters == counts.parameters
