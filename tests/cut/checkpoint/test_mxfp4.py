"""Weights in MXFP4: every byte under every exponent, and wrong files are named."""

from __future__ import annotations

import pytest
import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from widthwise.arch import TensorSpec
from widthwise.cut.checkpoint.mxfp4 import dequantized, mxfp4_weights
from widthwise.errors import CheckpointError

STEM = "model.layers.0.mlp.experts.down_proj"
BLOCKS, SCALES = f"{STEM}_blocks", f"{STEM}_scales"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_every_byte_under_every_exponent_is_as_transformers_has_it(dtype: torch.dtype) -> None:
    blocks = torch.arange(256, dtype=torch.uint8).reshape(16, 16).repeat(255, 1, 1)
    scales = torch.arange(255, dtype=torch.uint8).repeat_interleave(16).reshape(255, 16)
    blocks, scales = blocks.reshape(3, 85, 16, 16), scales.reshape(3, 85, 16)
    expected = convert_moe_packed_tensors(blocks.clone(), scales.clone(), dtype=dtype)
    got = dequantized(blocks, scales, dtype)
    assert got.dtype == dtype
    assert got.shape == (3, 512, 85)
    assert torch.equal(got, expected)
    assert torch.equal(got.signbit(), expected.signbit())  # zeros have one too
    nothing = dequantized(blocks, torch.full_like(scales, 255), dtype)
    assert not torch.isfinite(nothing).any()  # the exponent that says so


def spec(*shape: int, dtype: str = "U8") -> TensorSpec:
    return TensorSpec(shape, dtype)


GOOD = spec(4, 32, 2, 16)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ({BLOCKS: GOOD}, r"down_proj_scales is missing, but .*down_proj_blocks .* is stored"),
        ({SCALES: spec(4, 32, 2)}, r"down_proj_blocks is missing, but"),
        ({BLOCKS: GOOD, SCALES: spec(4, 32, 3)}, r"shape \[4, 32, 3\], but .* needs \[4, 32, 2\]"),
        ({BLOCKS: spec(4, 32, 32), SCALES: spec(4, 32)}, r"\[4, 32, 32\], but MXFP4 has the axes"),
        ({BLOCKS: spec(4, 32, 2, 8), SCALES: spec(4, 32, 2)}, "and 16 bytes a group"),
        ({BLOCKS: spec(4, 32, 2, 16, dtype="BF16"), SCALES: spec(4, 32, 2)}, "stored as BF16"),
        ({BLOCKS: GOOD, SCALES: spec(4, 32, 2, dtype="F32")}, "_scales is stored as F32"),
    ],
)
def test_what_does_not_fit_is_named(specs: dict[str, TensorSpec], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        dict(mxfp4_weights(specs, "BF16"))
