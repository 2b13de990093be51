"""Architecture: blocks are found from shapes alone, and counts are those of the built model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from families import FAMILIES, FUSED, HIDDEN, LAYERS, WIDTH, tiny
from small_configs import PUBLISHED, llama32, of
from torch.utils.flop_counter import FlopCounterMode

from widthwise.arch import counts_at, read_architecture
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.evaluate.engine import cache_of, given
from widthwise.io import TensorSpec


def specs(model: Any) -> dict[str, TensorSpec]:
    return {n: TensorSpec(tuple(p.shape), "F32") for n, p in model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_are_found_in_every_family(family: str) -> None:
    found = of(tiny(family))
    assert (found.model_type, found.layers) == (family, LAYERS)
    assert (found.hidden_size, found.intermediate_size) == (HIDDEN, WIDTH)
    assert found.fused == (family in FUSED)
    weights = 2 if family in FUSED else 3
    assert sum(n.endswith("weight") for n in found.cuts) == weights * LAYERS


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("width", [1, 17, WIDTH])
def test_parameters_equal_those_of_the_built_model(family: str, width: int) -> None:
    built = tiny(family, intermediate_size=width)
    expected = sum(p.numel() for p in built.parameters())
    assert counts_at(of(tiny(family)), width).parameters == expected


# Published parameter counts (millions) of Llama-3.2 pruned by 0 to 60 %, arXiv 2512.22671.
PAPER_WIDTHS = [8192, 7373, 6554, 5735, 4916, 4096, 3277]


@pytest.mark.parametrize("name", PUBLISHED)
def test_llama32_has_the_published_counts_at_all_widths(name: str) -> None:
    found = of(llama32(name))
    counts = [counts_at(found, width) for width in PAPER_WIDTHS]
    assert [round(c.parameters / 1e6, 2) for c in counts] == PUBLISHED[name][-1]
    assert counts[0].parameters == sum(p.numel() for p in llama32(name).parameters())
    assert all(c.weight_bytes == 2 * c.parameters for c in counts)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "phi3", "cohere"])
def test_decode_flops_per_token_equal_what_torch_counts(family: str) -> None:
    context = 9
    model = tiny(family, attn_implementation="eager")
    ids = torch.randint(3, 100, (1, context + 1))
    with torch.no_grad():
        cache = cache_of(model(ids[:, :context]))
        with FlopCounterMode(display=False) as counter:
            model(ids[:, context:], **given(model, cache))
    assert counter.get_total_flops() == counts_at(of(model), context=context).decode_flops_per_token


def test_prefill_flops_per_token_are_the_causal_part_of_what_torch_counts() -> None:
    context = 9
    model = tiny("llama", attn_implementation="eager")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.randint(3, 100, (1, context)), logits_to_keep=1)
    # Eager attention computes the whole square; a token attends to itself and those before it.
    square, triangle = context * context, context * (context + 1) // 2
    above = 4 * 4 * 8 * LAYERS * (square - triangle)
    prefill = counts_at(of(model), context=context).prefill_flops_per_token
    assert counter.get_total_flops() - above == pytest.approx(context * prefill, rel=1e-12)


def test_a_sliding_window_bounds_what_a_token_attends_to() -> None:
    full = of(tiny("mistral", sliding_window=None))
    sliding = of(tiny("mistral", sliding_window=4))
    per_token = 4 * 4 * 8 * LAYERS
    difference = (
        counts_at(full, context=20).decode_flops_per_token
        - counts_at(sliding, context=20).decode_flops_per_token
    )
    assert difference == per_token * (21 - 4)
    # A prompt of 20: tokens 1 to 4 see 1 to 4 tokens, the other 16 see 4.
    mean = (
        counts_at(full, context=20).prefill_flops_per_token
        - counts_at(sliding, context=20).prefill_flops_per_token
    )
    assert mean == pytest.approx(per_token * (210 - (10 + 16 * 4)) / 20)


def test_tied_embeddings_stored_twice_are_counted_once(llama: Any) -> None:
    stored = specs(llama)
    stored["lm_head.weight"] = stored["model.embed_tokens.weight"]
    config = {**llama.config.to_dict(), "tie_word_embeddings": True}
    tied = counts_at(read_architecture(config, stored)).parameters
    untied = counts_at(
        read_architecture({**config, "tie_word_embeddings": False}, stored)
    ).parameters
    assert untied - tied == stored["lm_head.weight"].numel


def test_the_text_part_of_a_multimodal_model_is_found(llama: Any) -> None:
    stored = {
        name.replace("model.", "model.language_model."): s for name, s in specs(llama).items()
    }
    stored["model.vision_tower.encoder.layers.0.mlp.fc1.weight"] = TensorSpec((64, 32), "F32")
    config = {"model_type": "gemma3", "text_config": llama.config.to_dict()}
    found = read_architecture(config, stored)
    assert found.groups[2].name == "model.language_model.layers.2.mlp"


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 50,
}
OPT = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
REFUSED_MODELS = {
    "gpt2": (hf.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=50), "GLU block"),
    "opt": (hf.OPTConfig(**OPT, vocab_size=50), "intermediate_size|GLU block"),
    "gpt_neox": (hf.GPTNeoXConfig(**SMALL), r"gpt_neox has gpt_neox\.layers\.0\.mlp\.dense_4h"),
}


MAMBA_SMALL = {**SMALL, "num_hidden_layers": 4, "mamba_d_state": 8}
IMAGES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28}
REFUSED_FAMILIES = {
    "zamba": (hf.ZambaConfig(**MAMBA_SMALL), "one block is used by several layers"),
    "zamba2": (
        hf.Zamba2Config(**MAMBA_SMALL, layer_types=["mamba", "hybrid"] * 2),
        "one block is used by several layers",
    ),
    "bitnet": (hf.BitNetConfig(**SMALL), "a norm over all neurons of a block .ffn_sub_norm"),
    "dbrx": (hf.DbrxConfig(), "all experts of a layer are rows of one matrix"),
    "dinov2": (hf.Dinov2Config(**IMAGES, use_swiglu_ffn=True), "its class computes the width from"),
}


@pytest.mark.parametrize("name", REFUSED_FAMILIES)
def test_a_family_that_cannot_be_cut_is_refused_with_the_reason(name: str) -> None:
    config, reason = REFUSED_FAMILIES[name]
    message = f"^{name} cannot be cut: {reason}.*; choose a model of another family$"
    with pytest.raises(UnsupportedModelError, match=message):
        read_architecture(config.to_dict(), {})


@pytest.mark.parametrize("name", REFUSED_MODELS)
def test_other_architectures_are_refused_by_name(name: str) -> None:
    config, message = REFUSED_MODELS[name]
    with torch.device("meta"):
        model = hf.AutoModelForCausalLM.from_config(config)
    with pytest.raises(UnsupportedModelError, match=message):
        of(model)


def test_an_expert_without_its_other_matrices_is_a_damaged_file(llama: Any) -> None:
    stored = specs(llama)
    name = "model.layers.2.mlp.experts.0.gate_proj.weight"
    stored[name] = TensorSpec((4, 4), "F32")
    with pytest.raises(
        CheckpointError, match=r"layers\.2\.mlp\.experts\.0\.gate_proj\.weight has no"
    ):
        read_architecture(llama.config.to_dict(), stored)


REFUSED_TENSORS = {
    "gptq": ("model.layers.1.mlp.up_proj.qweight", "quantized weights"),
    "bitsandbytes": ("model.layers.1.mlp.up_proj.SCB", "quantized weights"),
    "fp8": ("model.layers.1.mlp.up_proj.weight_scale_inv", "quantized weights"),
    "adapter": ("base_model.model.model.layers.1.mlp.up_proj.lora_A.weight", "PEFT"),
    "unknown": ("model.layers.1.mlp.act_norm.weight", "not part of a plain GLU block"),
}


@pytest.mark.parametrize("name", REFUSED_TENSORS)
def test_tensors_that_cannot_be_cut_are_named(name: str, llama: Any) -> None:
    tensor, message = REFUSED_TENSORS[name]
    stored = {**specs(llama), tensor: TensorSpec((4,), "F32")}
    with pytest.raises(UnsupportedModelError, match=message) as error:
        read_architecture(llama.config.to_dict(), stored)
    assert tensor in str(error.value)


def test_a_missing_tensor_is_named(llama: Any) -> None:
    stored = specs(llama)
    del stored["model.layers.2.mlp.up_proj.weight"]
    with pytest.raises(CheckpointError, match=r"model\.layers\.2\.mlp\.up_proj\.weight is missing"):
        read_architecture(llama.config.to_dict(), stored)


def test_a_shape_that_contradicts_the_config_is_named(llama: Any) -> None:
    stored = specs(llama)
    stored["model.layers.1.mlp.gate_proj.weight"] = TensorSpec((WIDTH - 1, HIDDEN), "F32")
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.gate_proj.*\[53, 32\].*\[52, 32\]"):
        read_architecture(llama.config.to_dict(), stored)


def test_integer_weights_are_refused(llama: Any) -> None:
    stored = specs(llama)
    name = "model.layers.1.mlp.gate_proj.weight"
    stored[name] = TensorSpec((WIDTH, HIDDEN), "F8_E4M3")
    with pytest.raises(UnsupportedModelError, match="stored as F8_E4M3"):
        read_architecture(llama.config.to_dict(), stored)
