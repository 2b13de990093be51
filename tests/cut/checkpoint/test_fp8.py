"""Weights in FP8: every row has the factors of its blocks, and wrong files are named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quantized_models import block_fp8
from torch import Tensor

from widthwise.arch import TensorSpec
from widthwise.cut.checkpoint.fp8 import Fp8Weight, block_kinds, fp8_weights
from widthwise.errors import CheckpointError

WEIGHT = "model.layers.0.mlp.up_proj.weight"
SCALE = f"{WEIGHT}_scale_inv"


def weight_of(tensors: dict[str, Tensor], kinds: Any, dtype: str = "BF16") -> Fp8Weight:
    names = {torch.float8_e4m3fn: "F8_E4M3", torch.uint8: "U8", torch.float8_e8m0fnu: "F8_E8M0"}
    specs = {
        name: TensorSpec(tuple(each.shape), names.get(each.dtype, "F32"))
        for name, each in tensors.items()
    }
    return dict(fp8_weights(specs, kinds, dtype))[WEIGHT]


def read(weight: Fp8Weight, tensors: dict[str, Tensor], start: int, stop: int) -> Tensor:
    def rows(name: str, first: int, last: int) -> Tensor:
        return (
            tensors[name].reshape(-1)[:1] if not tensors[name].ndim else tensors[name][first:last]
        )

    return weight.rows(rows, start, stop)


@given(data=st.data())
def test_any_rows_are_those_of_the_whole(data: Any) -> None:
    rows, columns = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    blocks = data.draw(st.tuples(st.integers(1, 17), st.integers(1, 17)))
    torch.manual_seed(0)
    tensors = block_fp8(WEIGHT, torch.randn(rows, columns), *blocks)
    weight = weight_of(tensors, [blocks])
    whole = torch.empty(rows, columns, dtype=torch.bfloat16)
    for i in range(rows):
        for j in range(columns):
            factor = tensors[SCALE][i // blocks[0], j // blocks[1]]
            whole[i, j] = tensors[WEIGHT][i, j].float() * factor
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    assert torch.equal(read(weight, tensors, start, stop), whole[start:stop])


@pytest.mark.parametrize("kind", [torch.uint8, torch.float8_e8m0fnu])
def test_a_scale_may_be_an_exponent(kind: torch.dtype) -> None:
    exponents = torch.tensor([[120, 127], [130, 0]], dtype=torch.uint8)
    tensors = {WEIGHT: torch.ones(4, 6).to(torch.float8_e4m3fn), SCALE: exponents.view(kind)}
    result = read(weight_of(tensors, [(2, 3)], "F32"), tensors, 0, 4)
    expected = torch.tensor([[2.0**-7, 1.0], [8.0, 2.0**-127]])
    assert torch.equal(result, expected.repeat_interleave(2, 0).repeat_interleave(3, 1))


@pytest.mark.parametrize(
    ("shape", "scale", "kind"),
    [
        ((5, 3), (), (None, None)),
        ((5, 3), (1,), (None, None)),
        ((5, 3), (1, 1), (None, None)),
        ((5, 3), (5, 1), (1, None)),
        ((2, 5, 3), (2, 1, 1), (None, None)),
        ((2, 5, 3), (2,), (None, None)),
        ((2, 5, 3), (2, 5, 1), (1, None)),
        ((2, 5, 3), (2, 3, 2), (2, 2)),
    ],
)
def test_scales_of_any_grid_are_read(shape: Any, scale: Any, kind: Any) -> None:
    numbers = torch.arange(1.0, 1 + torch.Size(scale).numel()).reshape(scale)
    tensors = {WEIGHT: torch.ones(shape).to(torch.float8_e4m3fn), SCALE: numbers}
    weight = weight_of(tensors, [kind], "F32")
    grid = numbers.reshape([-(-n // b) for n, b in zip(shape, weight.blocks, strict=True)])
    for axis, block in enumerate(weight.blocks):
        grid = grid.repeat_interleave(block, axis).narrow(axis, 0, shape[axis])
    assert torch.equal(read(weight, tensors, 0, shape[0]), grid)


def spec(*shape: int, dtype: str = "F32") -> TensorSpec:
    return TensorSpec(shape, dtype)


FP8 = spec(40, 24, dtype="F8_E4M3")


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({WEIGHT: FP8}, r"up_proj\.weight is stored as F8_E4M3, but its scale .* is missing"),
        ({SCALE: spec(3, 2)}, r"up_proj\.weight is missing, but its scale .*_scale_inv is stored"),
        ({WEIGHT: FP8, SCALE: spec(3, 3)}, r"shape \[3, 3\], but .*\[40, 24\] needs \[3, 2\]"),
        ({WEIGHT: FP8, SCALE: spec()}, r"shape \[\], but"),
        ({WEIGHT: FP8, SCALE: spec(3, 2, dtype="I32")}, "stored as I32, but must be one of F32"),
        ({WEIGHT: spec(40, 24, dtype="I8"), SCALE: spec(3, 2)}, "stored as I8, but must be FP8"),
        ({WEIGHT: spec(40, 24, dtype="BF16"), SCALE: spec(3, 2)}, "stored as BF16, but must be"),
        ({WEIGHT: spec(40, 24, dtype="F8_E5M2"), SCALE: spec(3, 2)}, "stored as F8_E5M2, but"),
    ],
)
def test_what_does_not_fit_is_named(specs: dict[str, TensorSpec], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        dict(fp8_weights(specs, [(16, 16)], "BF16"))


def test_other_scales_of_a_model_are_left_alone() -> None:
    names = ("logit_scale", "model.layers.0.mlp.router.per_expert_scale", "a.k_scale")
    assert not dict(fp8_weights({name: spec(3) for name in names}, [(16, 16)], "BF16"))


@pytest.mark.parametrize("size", [[128], [128, 0], 128, [128, "128"], [True, True]])
def test_a_wrong_block_size_is_named(size: Any) -> None:
    with pytest.raises(CheckpointError, match="weight_block_size must be two whole numbers"):
        block_kinds({"quant_method": "fp8", "weight_block_size": size})


@pytest.mark.parametrize("groups", [None, [], {"a": None}, {"a": {"weights": 3}}])
def test_a_damaged_config_is_of_no_known_method(groups: Any) -> None:
    method = {"quant_method": "compressed-tensors", "config_groups": groups}
    assert block_kinds({**method, "format": "float-quantized"}) == []
