"""Mixtures of experts: kinds, groups and cuts by names and shapes, and damaged files."""

from __future__ import annotations

from typing import Any

import pytest
from every_family import MIXTURES, tiny_model

from widthwise.arch import Architecture, TensorCut, counts_at, read_architecture
from widthwise.cut import ModelWeights
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.io import TensorSpec


def in_memory(family: str) -> Architecture:
    return ModelWeights(tiny_model(family)).architecture


def stored(**more: TensorSpec) -> tuple[dict[str, Any], dict[str, TensorSpec]]:
    """A mixture of two layers and two experts as a hub stores it, without attention."""
    config = {"model_type": "of_tomorrow", "hidden_size": 8, "num_hidden_layers": 2}
    config |= {"intermediate_size": 6, "moe_intermediate_size": 4, "num_experts_per_tok": 1}
    tensors = {"model.embed_tokens.weight": TensorSpec((16, 8), "F32")}
    for layer in range(2):
        where = f"model.layers.{layer}.mlp"
        tensors[f"{where}.gate.weight"] = TensorSpec((2, 8), "F32")
        for expert in range(2):
            for part, shape in (("gate", (4, 8)), ("up", (4, 8)), ("down", (8, 4))):
                name = f"{where}.experts.{expert}.{part}_proj.weight"
                tensors[name] = TensorSpec(shape, "F32")
    return config, {**tensors, **{name.replace("__", "."): spec for name, spec in more.items()}}


def test_one_setting_states_one_kind() -> None:
    found = in_memory("deepseek_v3")
    assert [(kind.name, kind.key) for kind in found.kinds] == [
        ("experts", "moe_intermediate_size"),
        ("mlp", "intermediate_size"),
    ]
    shared = [group for group in found.groups if group.expert is None and group.layer]
    # Two shared experts stand in one block of twice the width, which the same setting states.
    assert {(group.kind, group.factor) for group in shared} == {(0, 2)}
    assert found.width_of(found.groups.index(shared[0])) == 48


def test_groups_stand_by_layers_and_experts() -> None:
    found = in_memory("qwen2_moe")
    first = [(g.layer, g.expert, found.kinds[g.kind].name) for g in found.groups[:6]]
    experts = [(0, expert, "experts") for expert in range(4)]
    assert first == [*experts, (0, None, "shared"), (1, 0, "experts")]


def test_a_stack_of_experts_tells_its_layout() -> None:
    layer = "model.layers.0.mlp.experts"
    usual, gpt_oss = in_memory("qwen3_moe").cuts, in_memory("gpt_oss").cuts
    assert usual[f"{layer}.gate_up_proj"] == TensorCut(0, 0, 2, False, 4)
    assert usual[f"{layer}.down_proj"] == TensorCut(0, 1, 1, False, 4)
    assert gpt_oss[f"{layer}.gate_up_proj"] == TensorCut(0, 1, 2, True, 4)
    assert gpt_oss[f"{layer}.gate_up_proj_bias"] == TensorCut(0, 0, 2, True, 4)
    assert gpt_oss[f"{layer}.down_proj"] == TensorCut(0, 0, 1, False, 4)
    assert f"{layer}.down_proj_bias" not in gpt_oss


@pytest.mark.parametrize("family", MIXTURES)
def test_a_token_pays_for_the_experts_that_it_is_sent_to(family: str) -> None:
    """FLOPs fall by 2 for each number of a removed neuron that a token passes."""
    found = in_memory(family)
    dense = found.dense_widths
    fewer = (dense[0] - 1, *dense[1:])
    counts = counts_at(found), counts_at(found, fewer)
    passed = 0.0
    for index, group in enumerate(found.groups):
        if group.kind == 0:
            experts = [g for g in found.groups if g.layer == group.layer and g.expert is not None]
            active = 1 if group.expert is None else 2 / len(experts)
            matrices = 2 if group.gate is None else 3
            down = found.tensors[group.down].numel // max(1, found.cuts[group.down].stacked)
            passed += active * matrices * down // found.width_of(index) * group.factor
        assert found.width_of(index) == dense[group.kind] * group.factor
    saved = counts[0].decode_flops_per_token - counts[1].decode_flops_per_token
    assert saved == 2 * passed


def test_a_family_that_nobody_knows_is_read_by_its_names() -> None:
    found = read_architecture(*stored())
    assert [(kind.key, kind.width) for kind in found.kinds] == [("moe_intermediate_size", 4)]
    assert len(found.groups) == 4


def test_damaged_and_unknown_mixtures_are_one_sentence() -> None:
    down = "model__layers__1__mlp__experts__1__down_proj__weight"
    for spec, error, message in (
        (TensorSpec((8, 3), "F32"), CheckpointError, r"shape \[3, 8\].*got \[4, 8\]"),
        (TensorSpec((7, 4), "F32"), CheckpointError, r"shape \[8, 4\].*got \[7, 4\]"),
        (TensorSpec((8, 4), "F8_E4M3"), UnsupportedModelError, "stored as F8_E4M3"),
    ):
        with pytest.raises(error, match=message):
            read_architecture(*stored(**{down: spec}))
    config, tensors = stored()
    del tensors[down.replace("__", ".")]
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.experts\.1\.\w+_proj.* has no"):
        read_architecture(config, tensors)
    config, tensors = stored()
    del config["moe_intermediate_size"]
    with pytest.raises(UnsupportedModelError, match=r"layers\.0\.mlp\.experts\.0, which is 4"):
        read_architecture(config, tensors)
    config, tensors = stored()
    del config["num_experts_per_tok"]
    with pytest.raises(UnsupportedModelError, match="to how many experts a token is sent"):
        counts_at(read_architecture(config, tensors))


def test_what_else_follows_the_width_in_a_block_is_refused() -> None:
    """It would be left at the old width: a norm over the neurons, say."""
    name = "model__layers__1__mlp__experts__1__act_norm__weight"
    with pytest.raises(UnsupportedModelError, match=r"1\.act_norm\.weight is not part of a plain"):
        read_architecture(*stored(**{name: TensorSpec((4,), "F32")}))
    read_architecture(*stored(**{name: TensorSpec((8,), "F32")}))  # of the hidden size alone


def test_experts_that_are_numbered_in_an_unknown_way_are_refused_by_name() -> None:
    name = "model.layers.0.mlp.shared_experts.0.up_proj.weight"
    config, tensors = stored()
    with pytest.raises(UnsupportedModelError, match=rf"{name} .* depends on moe_intermediate_size"):
        read_architecture(config, {**tensors, name: TensorSpec((4, 8), "F32")})
