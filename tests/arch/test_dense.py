"""Groups of dense layers: which have a block, and how wide it is."""

from __future__ import annotations

from typing import Any

import pytest
from every_family import tiny_model

from widthwise.arch import Architecture, read_architecture
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.io import TensorSpec


def read(model: Any, *without: str) -> Architecture:
    """The architecture of a model without some of its tensors."""
    names = {name: p for name, p in model.named_parameters() if name not in without}
    specs = {name: TensorSpec(tuple(p.shape), "F32") for name, p in names.items()}
    return read_architecture(model.config.to_dict(), specs, is_built=True)


def test_a_group_stands_for_each_layer_with_a_block() -> None:
    found = read(tiny_model("nemotron_h-dense"))
    assert [(group.layer, group.gate) for group in found.groups] == [(1, None), (3, None)]
    assert {cut.group for cut in found.cuts.values()} == {0, 1}


@pytest.mark.parametrize("part", ["up_proj", "down_proj"])
def test_half_a_block_is_a_damaged_file(part: str) -> None:
    name = f"model.layers.3.mixer.{part}.weight"
    with pytest.raises(CheckpointError, match=r"layers\.3\.mixer.*is missing from the checkpoint"):
        read(tiny_model("nemotron_h-dense"), name)


def test_a_block_that_only_looks_doubled_is_refused() -> None:
    """The switch of the config is off, and one layer is twice as wide all the same."""
    model = tiny_model("gemma4_text-double")
    model.config.use_double_wide_mlp = False
    with pytest.raises(
        UnsupportedModelError, match="layers 2, 3 hold GLU blocks of 112 neurons, the others"
    ):
        read(model)
