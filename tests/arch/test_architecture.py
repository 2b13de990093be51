"""An architecture: its names, and the shapes of its tensors at another width."""

from __future__ import annotations

from typing import Any

import pytest
from every_family import tiny_model
from families import FAMILIES, tiny

from widthwise.arch import Architecture, read_architecture
from widthwise.cut import ModelWeights
from widthwise.errors import UnsupportedModelError
from widthwise.io import TensorSpec


def test_names_lead_to_the_modules_of_the_model(llama: Any) -> None:
    architecture = ModelWeights(llama).architecture
    assert llama.get_submodule(architecture.groups[1].name) is llama.model.layers[1].mlp
    assert llama.get_parameter(architecture.table) is llama.get_input_embeddings().weight
    assert architecture.expansion_ratio == llama.config.intermediate_size / llama.config.hidden_size


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_at_a_width_are_those_of_a_model_of_that_width(family: str) -> None:
    width = 7
    architecture = ModelWeights(tiny(family)).architecture
    narrow = tiny(family, intermediate_size=width).state_dict()
    for name in architecture.tensors:
        assert architecture.spec_at(name, width).shape == tuple(narrow[name].shape)


def test_layers_without_a_block_have_no_group() -> None:
    architecture = ModelWeights(tiny_model("nemotron_h-dense")).architecture
    assert [group.layer for group in architecture.groups] == [1, 3]
    assert (architecture.layers, architecture.is_uniform) == (4, False)
    with pytest.raises(UnsupportedModelError, match="this nemotron_h has layers without a GLU"):
        architecture.refuse_unless_uniform("this")


def test_a_stack_without_a_table_beside_it_has_none(llama: Any) -> None:
    names = {name: tensor for name, tensor in llama.state_dict().items() if "embed" not in name}
    specs = {name: TensorSpec(tuple(tensor.shape), "F32") for name, tensor in names.items()}
    architecture: Architecture = read_architecture(llama.config.to_dict(), specs)
    assert architecture.table == ""
