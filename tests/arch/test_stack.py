"""The language model's stack of layers: one of several, and the widths of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import transformers as hf
from every_family import WIDTH as WIDE
from every_family import tiny_model
from families import LAYERS, WIDTH
from outside_blocks import glu

from widthwise.arch import read_architecture
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.io import TensorSpec


def specs(tensors: Mapping[str, torch.Tensor]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(tuple(tensor.shape), "F32") for name, tensor in tensors.items()}


def test_two_stacks_of_one_width_are_both_named(llama: Any) -> None:
    stored = specs(dict(llama.named_parameters()))
    twice = {
        name.replace("model.", f"model.{part}."): spec
        for part in ("encoder", "decoder")
        for name, spec in stored.items()
    }
    with pytest.raises(UnsupportedModelError, match=r"model\.decoder\.layers, model\.encoder\.lay"):
        read_architecture(llama.config.to_dict(), twice)


def pair(**changes: Any) -> tuple[dict[str, Any], dict[str, TensorSpec]]:
    """The config and the tensors of an encoder of three layers and a decoder of two."""
    model = tiny_model("t5", **changes)
    return model.config.to_dict(), specs(dict(model.named_parameters()))


@pytest.mark.parametrize("projection", ["gated-gelu", "relu"])
def test_the_layers_of_a_decoder_go_on_where_its_encoder_ends(projection: str) -> None:
    found = read_architecture(*pair(feed_forward_proj=projection))
    assert [(stack.stem, stack.count) for stack in found.stacks] == [
        ("encoder.block", 3),
        ("decoder.block", 2),
    ]
    assert [group.layer for group in found.groups] == [0, 1, 2, 3, 4]
    assert found.layer_names[3] == "decoder.block.0"
    assert found.groups[3].name == "decoder.block.0.layer.2.DenseReluDense"
    assert found.kinds[0].key == "d_ff"
    assert (found.groups[0].gate is None) == (projection == "relu")
    assert found.table == "shared.weight"
    assert not found.is_causal


def test_each_stack_has_the_number_of_layers_that_its_own_setting_states() -> None:
    config, tensors = pair()
    with pytest.raises(CheckpointError, match="num_decoder_layers is 3, but 2 layers are stored"):
        read_architecture({**config, "num_decoder_layers": 3}, tensors)
    with pytest.raises(UnsupportedModelError, match=r"block\.2 is beyond the 2 .* \(num_layers\)"):
        read_architecture({**config, "num_layers": 2}, tensors)


def test_a_stack_of_another_width_than_its_pair_is_refused() -> None:
    config, tensors = pair()
    tensors |= {
        name: TensorSpec(tuple(2 * WIDE if size == WIDE else size for size in spec.shape), "F32")
        for name, spec in tensors.items()
        if name.startswith("decoder.") and "DenseReluDense" in name
    }
    with pytest.raises(CheckpointError, match=r"d_ff is 56, but every layer of decoder\.block"):
        read_architecture(config, tensors)


def test_an_encoder_without_glu_blocks_is_refused_by_the_names_of_its_own() -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 56, "num_attention_heads": 4}
    model = hf.BertModel(hf.BertConfig(**sizes, num_hidden_layers=2, vocab_size=64))
    message = r"layer 0 must hold a GLU block .*; bert has encoder\.layer\.0\.intermediate\.dense"
    with pytest.raises(UnsupportedModelError, match=message):
        read_architecture(model.config.to_dict(), specs(dict(model.named_parameters())))


def wider(llama: Any, layers: tuple[int, ...]) -> dict[str, TensorSpec]:
    stored = specs(dict(llama.named_parameters()))
    for layer in layers:
        stored |= specs(glu(f"model.layers.{layer}.mlp", width=2 * WIDTH))
    return stored


def test_layers_of_other_widths_are_refused_by_the_setting_that_makes_them(llama: Any) -> None:
    config = {**llama.config.to_dict(), "use_double_wide_mlp": True}
    message = r"use_double_wide_mlp: layers 1, 2 hold GLU blocks of 106 neurons, the others of 53"
    with pytest.raises(UnsupportedModelError, match=message):
        read_architecture(config, wider(llama, (1, 2)))


def test_a_width_that_no_layer_has_is_a_fault_of_the_config(llama: Any) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: intermediate_size is 53, but every"):
        read_architecture(llama.config.to_dict(), wider(llama, tuple(range(LAYERS))))


def test_a_hidden_size_that_no_layer_has_is_a_fault_of_the_config(llama: Any) -> None:
    config = {**llama.config.to_dict(), "hidden_size": 64}
    with pytest.raises(CheckpointError, match=r"config\.json: hidden_size is 64, but every layer"):
        read_architecture(config, specs(dict(llama.named_parameters())))


def test_blocks_without_an_up_projection_are_no_damaged_file(llama: Any) -> None:
    stored = specs(dict(llama.named_parameters()))
    stored = {name: spec for name, spec in stored.items() if "up_proj" not in name}
    with pytest.raises(UnsupportedModelError, match=r"no layer of model\.layers has both mlp"):
        read_architecture(llama.config.to_dict(), stored)


def test_a_layer_without_a_block_is_no_damaged_file(llama: Any) -> None:
    stored = specs(dict(llama.named_parameters()))
    stored = {n: s for n, s in stored.items() if not n.startswith("model.layers.1.mlp.")}
    config = {**llama.config.to_dict(), "block_configs": [{}, {"ffn": {"no_op": True}}, {}]}
    message = r"block_configs: layer 1 \(model\.layers\.1\) has no GLU block"
    with pytest.raises(UnsupportedModelError, match=message):
        read_architecture(config, stored)


def test_layers_beyond_the_config_are_refused(llama: Any) -> None:
    config = {**llama.config.to_dict(), "num_hidden_layers": 2}
    with pytest.raises(UnsupportedModelError, match=r"layers\.2 is beyond the 2 layers"):
        read_architecture(config, specs(dict(llama.named_parameters())))
