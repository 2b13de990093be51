"""Parameters of a model by the tensors of a GGUF file, and how their rows lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from converted_gguf import model_of
from families import built
from transformers import Lfm2Config, Qwen3MoeConfig

from widthwise.assets.gguf_names import layout_of, parameters_of, row_order, translation_of
from widthwise.errors import UnsupportedModelError

LLAMA = {
    "token_embd.weight": (101, 64),
    "output.weight": (101, 64),
    "output_norm.weight": (64,),
}
LAYER = {
    "attn_norm": (64,),
    "ffn_norm": (64,),
    "attn_q": (64, 64),
    "attn_k": (32, 64),
    "attn_v": (32, 64),
    "attn_output": (64, 64),
    "ffn_gate": (53, 64),
    "ffn_up": (53, 64),
    "ffn_down": (64, 53),
}


def llama_shapes() -> dict[str, tuple[int, ...]]:
    layers = {f"blk.{n}.{name}.weight": shape for n in range(3) for name, shape in LAYER.items()}
    return {**LLAMA, **layers}


def test_parameters_say_how_their_rows_lie() -> None:
    model = model_of()
    found = parameters_of(model, translation_of("llama", model.config), llama_shapes())
    assert set(found) == {name for name, _ in model.named_parameters()}
    layers = "model.layers.2"
    assert found[f"{layers}.self_attn.q_proj.weight"].layout == "ordered"
    assert found[f"{layers}.self_attn.v_proj.weight"].layout == "plain"
    assert found[f"{layers}.mlp.down_proj.weight"].tensors == ("blk.2.ffn_down.weight",)


def test_rows_of_queries_are_those_of_halves_of_a_head() -> None:
    """A head of 16: llama.cpp has its first half in even rows, its second in odd ones."""
    config = model_of().config
    order = row_order(translation_of("llama", config), "q", "blk.0.attn_q.weight", 64)
    assert order[:16].tolist() == [*range(0, 16, 2), *range(1, 16, 2)]
    assert sorted(order) == list(range(64))


def test_numbers_that_change_are_read_whole() -> None:
    config = model_of("gemma2").config
    shapes = {"blk.0.attn_norm.weight": (64,)}
    assert layout_of(translation_of("gemma2", config), "norm", shapes) == "whole"
    config = built(Lfm2Config, layer_types=["conv", "full_attention", "conv"]).config
    shapes = {"blk.0.shortconv.conv.weight": (32, 3)}
    name = "model.layers.0.conv.conv.weight"
    translation = translation_of("lfm2", config)
    assert layout_of(translation, name, shapes) == "whole"
    stored = np.arange(96, dtype=np.float32).reshape(32, 3)
    made = translation.whole(name, {"blk.0.shortconv.conv.weight": stored})
    assert np.array_equal(made, stored[:, None])


def test_gates_and_ups_of_experts_are_joined() -> None:
    config = built(Qwen3MoeConfig, num_experts=4, moe_intermediate_size=24).config
    shapes = {f"blk.0.ffn_{part}_exps.weight": (4, 24, 32) for part in ("gate", "up")}
    name = "model.layers.0.mlp.experts.gate_up_proj"
    assert layout_of(translation_of("qwen3moe", config), name, shapes) == "joined"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blk.1.ffn_up.weight": None}, "no tensor for model.layers.1.mlp.up_proj.weight"),
        (
            {"blk.1.ffn_up.weight": (52, 64)},
            r"the tensor blk.1.ffn_up.weight of shape \[52, 64\], where LlamaForCausalLM has "
            r"model.layers.1.mlp.up_proj.weight of shape \[53, 64\]",
        ),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], message: str) -> None:
    model = model_of()
    shapes = {name: shape for name, shape in {**llama_shapes(), **changed}.items() if shape}
    with pytest.raises(UnsupportedModelError, match=message):
        parameters_of(model, translation_of("llama", model.config), shapes)
