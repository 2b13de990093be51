"""Widths that a config states for each layer, read and stated again in the config's own way."""

from __future__ import annotations

from typing import Any

import pytest
from every_family import WIDTH, config_of, tiny_model
from families import tiny
from outside_blocks import glu

from widthwise.arch import Architecture, at_widths, counts_at, read_architecture
from widthwise.cut import ModelWeights
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.io import TensorSpec

LISTED = [80, WIDTH, 40]


def of_llama(widths: list[int], overrides: dict[str, Any], **settings: Any) -> Architecture:
    """A llama whose blocks are of some widths, and whose config has overrides."""
    model = tiny("llama")
    tensors = dict(model.state_dict())
    for layer, width in enumerate(widths):
        tensors |= glu(f"model.layers.{layer}.mlp", width=width)
    specs = {name: TensorSpec(tuple(each.shape), "F32") for name, each in tensors.items()}
    config = {**model.config.to_dict(), "per_layer_config": overrides, **settings}
    return read_architecture(config, specs)


def test_a_list_states_a_kind_for_each_width_the_widest_first() -> None:
    found = ModelWeights(tiny_model("gemma3n_text", intermediate_size=LISTED)).architecture
    assert [(kind.name, kind.width, kind.layers) for kind in found.kinds] == [
        ("mlp80", 80, (0,)),
        ("mlp56", 56, (1,)),
        ("mlp40", 40, (2,)),
    ]
    assert found.neurons() == (80, 56, 40)
    assert found.neurons(found.widths_at(40)) == (40, 28, 20)  # in proportion
    narrow = at_widths(found.config, found.kinds, (40, 28, 20))
    assert narrow["intermediate_size"] == [40, 28, 20]


def test_one_number_that_the_class_makes_a_list_of_becomes_a_list() -> None:
    """Sparse layers keep their width, which one number for all could not state."""
    model = tiny_model("gemma3n_text", activation_sparsity_pattern=[0.9, 0.0, 0.0])
    config = {**model.config.to_dict(), "intermediate_size": WIDTH}
    specs = {n: TensorSpec(tuple(p.shape), "F32") for n, p in model.named_parameters()}
    found = read_architecture(config, specs, is_built=True)
    assert [group.layer for group in found.groups] == [1, 2]
    assert at_widths(config, found.kinds, (24,))["intermediate_size"] == [WIDTH, 24, 24]


def test_sparse_layers_are_not_cut_and_all_of_them_are_refused() -> None:
    found = ModelWeights(tiny_model("gemma3n_text-sparse")).architecture
    assert [group.layer for group in found.groups] == [1, 2]
    assert not any(name.startswith("model.layers.0.mlp.") for name in found.cuts)
    with pytest.raises(UnsupportedModelError, match="on all others of its layer, in every layer"):
        ModelWeights(tiny_model("gemma3n_text", activation_sparsity_pattern=[0.9] * 3))
    with pytest.raises(UnsupportedModelError, match="in some layers; widthwise cuts the other lay"):
        of_llama([53] * 3, {}, activation_sparsity_pattern=[0.9, 0.0, 0.0])


def test_overrides_are_read_and_stated_again_beside_those_of_other_settings() -> None:
    own = {"1": {"intermediate_size": 64, "head_dim": 8}, "02": {"intermediate_size": 40}}
    found = of_llama([53, 64, 40], own)
    assert found.neurons() == (53, 64, 40)
    assert counts_at(found).parameters == sum(spec.numel for spec in found.tensors.values())
    narrow = at_widths(found.config, found.kinds, (32, 20, 20))
    assert narrow["intermediate_size"] == 32
    assert narrow["per_layer_config"] == {
        "0": {"intermediate_size": 20},
        "1": {"head_dim": 8},
        "2": {"intermediate_size": 20},
    }


def test_what_contradicts_the_tensors_is_one_sentence() -> None:
    message = r"intermediate_size of layer 1 is 64, but model\.layers\.1 holds a GLU block of 53"
    with pytest.raises(CheckpointError, match=message):
        of_llama([53] * 3, {"1": {"intermediate_size": 64}})
    with pytest.raises(CheckpointError, match="has an entry for layer 7, but the model has 3"):
        of_llama([53] * 3, {"7": {"intermediate_size": 64}}, model_type="of tomorrow")
    with pytest.raises(CheckpointError, match="layer 2 must be a whole number above 0; got 'x'"):
        of_llama([53] * 3, {"2": {"intermediate_size": "x"}})
    with pytest.raises(CheckpointError, match="cannot read it as llama"):  # whose class has no list
        of_llama([53] * 3, {}, intermediate_size=[53, 64, 53])
    with pytest.raises(CheckpointError, match="lists widths of 2 layers, but the model has 3"):
        of_llama([53] * 3, {}, intermediate_size=[53, 64], model_type="of tomorrow")


def test_blocks_of_twice_the_width_are_cut_to_twice_the_width() -> None:
    found = ModelWeights(tiny_model("gemma4_text-double")).architecture
    assert [group.factor for group in found.groups] == [1, 1, 2, 2]
    assert (len(found.kinds), found.is_uniform) == (1, False)
    assert found.neurons((24,)) == (24, 24, 48, 48)
    assert config_of("gemma4_text-double").use_double_wide_mlp
