"""One block: how its tensors depend on the width, and which shapes they must have."""

from __future__ import annotations

import pytest

from widthwise.arch import TensorCut
from widthwise.arch.blocks import GluBlock
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.io import TensorSpec

GATED = ("gate_proj.weight", "up_proj.weight", "up_proj.bias", "down_proj.weight", "down_proj.bias")


def block(roles: tuple[str, ...], **how: bool | int) -> GluBlock:
    names = {role: f"layers.3.mlp.{role}" for role in roles}
    return GluBlock(names=names, width=6, hidden=4, **how)  # type: ignore[arg-type]


def test_a_gated_block_has_one_cut_for_each_tensor_but_the_bias_of_down() -> None:
    found = {name.removeprefix("layers.3.mlp."): cut for name, cut in block(GATED).cuts(7).items()}
    assert found == {
        "gate_proj.weight": TensorCut(7, 0),
        "up_proj.weight": TensorCut(7, 0),
        "up_proj.bias": TensorCut(7, 0),
        "down_proj.weight": TensorCut(7, 1),
    }
    group = block(GATED).group(3)
    assert (group.name, group.layer, group.fused) == ("layers.3.mlp", 3, False)


def test_a_transposed_stack_swaps_the_axes_and_counts_its_experts() -> None:
    roles = ("gate_up_proj.weight", "gate_up_proj.bias", "down_proj.weight")
    stack = block(roles, stacked=5, transposed=True, interleaved=True)
    assert [*stack.cuts(0).values()] == [
        TensorCut(0, 1, 2, True, 5),
        TensorCut(0, 0, 2, True, 5),
        TensorCut(0, 0, 1, False, 5),
    ]
    assert stack.group(3, 2, expert=2).name == "layers.3.mlp.2"
    shapes = [(5, 4, 12), (5, 12), (5, 6, 4)]
    tensors = {
        name: TensorSpec(shape, "F32")
        for name, shape in zip(stack.names.values(), shapes, strict=True)
    }
    stack.check(tensors, "by the config")
    odd = {**tensors, stack.names["down_proj.weight"]: TensorSpec((5, 4, 6), "F32")}
    with pytest.raises(CheckpointError, match=r"shape \[5, 6, 4\] by the config; got \[5, 4, 6\]"):
        stack.check(odd, "by the config")
    odd = {**tensors, stack.names["down_proj.weight"]: TensorSpec((5, 6, 4), "I8")}
    with pytest.raises(UnsupportedModelError, match="is stored as I8"):
        stack.check(odd, "by the config")
