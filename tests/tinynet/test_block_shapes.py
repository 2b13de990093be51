"""Shapes of blocks."""

from __future__ import annotations

import torch

from widthwise.tinynet import BASE, FAMILIES


def test_squeeze_goes_by_the_input_of_a_block() -> None:
    """A quarter of what enters the block, not of what it is expanded to."""
    with torch.device("meta"):
        model = FAMILIES["efficientnet"].build(BASE, classes=10)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes["blocks.0.0.se.conv_reduce.weight"] == (8, 32, 1, 1)
    assert shapes["blocks.1.0.se.conv_reduce.weight"] == (4, 96, 1, 1)
