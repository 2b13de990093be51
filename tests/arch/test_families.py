"""Tensors go by their roles, whatever a family calls them."""

from __future__ import annotations

import pytest

from widthwise.arch.families import family_of, in_block, role_of

ROLES = {
    "mlp.gate_proj.weight": "mlp.gate_proj.weight",
    "mlp.gate_up_proj.bias": "mlp.gate_up_proj.bias",
    "feed_forward.w3.weight": "mlp.up_proj.weight",
    "mlp_block.down_proj.bias": "mlp.down_proj.bias",
    "mlp.Wi.weight": "mlp.gate_up_proj.weight",
    "mlp.c_fc_0.weight": "mlp.gate_proj.weight",
    "mlp.c_fc.weight": "mlp.up_proj.weight",  # starcoder2, without a gate
    "mlp.fc1.weight": "mlp.up_proj.weight",  # phi and nanochat, without a gate
    "mlp.fc11.weight": "mlp.up_proj.weight",  # nomic_bert: up stands first
    "mlp.fc12.weight": "mlp.gate_proj.weight",
    "block_sparse_moe.experts.7.w2.weight": "experts.7.down_proj.weight",
    "mlp.experts.0.up_proj.weight": "experts.0.up_proj.weight",
    "feed_forward.shared_expert.gate_proj.weight": "shared.gate_proj.weight",
    "mlp.shared_experts.down_proj.weight": "shared.down_proj.weight",
    "shared_mlp.input_linear.weight": "shared.gate_up_proj.weight",
    "layer.1.DenseReluDense.wi_0.weight": "mlp.gate_proj.weight",
    "layer.2.DenseReluDense.wi_1.weight": "mlp.up_proj.weight",
    "layer.1.DenseReluDense.wi.weight": "mlp.up_proj.weight",  # t5 without a gate
}
STACKED = {
    "mlp.experts.gate_up_proj": "experts.gate_up_proj.weight",
    "experts.down_proj": "experts.down_proj.weight",
    "mlp.experts.gate_up_proj_bias": "experts.gate_up_proj.bias",
    "block_sparse_moe.input_linear.weight": "experts.gate_up_proj.weight",
    "mlp.output_linear.weight": "experts.down_proj.weight",
}
OTHERS = (
    *("self_attn.q_proj.weight", "mlp.gate.weight", "mlp.router.weight", "mlp.c_attn.weight"),
    *("mlp.shared_expert_gate.weight", "self_attention.experts.input_linear.weight"),
    *("mlp.down_proj.weight_scale", "block_sparse_moe.router.layer.weight"),
)


@pytest.mark.parametrize("rest", ROLES)
def test_a_matrix_goes_by_its_role(rest: str) -> None:
    assert role_of(rest) == ROLES[rest]


@pytest.mark.parametrize("rest", STACKED)
def test_a_tensor_of_all_experts_goes_by_its_role(rest: str) -> None:
    assert role_of(rest, 3) == STACKED[rest]


@pytest.mark.parametrize("rest", OTHERS)
def test_a_tensor_that_is_no_part_of_a_block_keeps_its_name(rest: str) -> None:
    assert role_of(rest) == rest


def test_a_family_that_is_not_listed_is_the_usual_one() -> None:
    assert family_of("llama") == family_of("of tomorrow") != family_of("lfm2")
    assert not family_of("nemotron").has_gate
    assert not family_of("nemotron_h").in_every_layer


def test_a_name_within_a_block_is_told_from_others() -> None:
    assert in_block("model.layers.0.feed_forward.w1.weight")
    assert not in_block("model.layers.0.self_attn.o_proj.weight")
