"""Weights in MXFP4: numbers of 4 bits, and an exponent for each group of 32 of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import CheckpointError
from ...io import TORCH_DTYPES, TensorSpec

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, UInt8
    from torch import Tensor

# The numbers of 4 bits that are above 0 (E2M1: a sign, 2 bits of exponent, 1 of mantissa).
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_BIAS = 127  # of exponents, which are stored as bytes (E8M0)
_BLOCKS, _EXPONENTS = "_blocks", "_scales"  # after the name of a weight
_GROUP_BYTES = 16


@dataclass(frozen=True)
class Mxfp4Weight:
    """The weights of all experts of a layer that are stored as numbers of 4 bits and exponents.

    Attributes:
        spec: Shape (experts, inputs, outputs), and the dtype in which they are read.
        name: Of the stored numbers.
        scale: Of the stored exponents.
    """

    spec: TensorSpec
    name: str
    scale: str
    words: str = "MXFP4"

    def rows(self, stored: Callable[[str, int, int], Tensor], start: int, stop: int) -> Tensor:
        """Experts [start, stop), dequantized; `stored` reads rows of a stored tensor."""
        import torch

        blocks, scales = (stored(name, start, stop) for name in (self.name, self.scale))
        return dequantized(blocks, scales, getattr(torch, TORCH_DTYPES[self.spec.dtype]))


def dequantized(
    blocks: UInt8[Tensor, "experts outputs groups half"],
    scales: UInt8[Tensor, "experts outputs groups"],
    dtype: torch.dtype,
) -> Float[Tensor, "experts inputs outputs"]:
    """Weights of MXFP4: a number of 4 bits, times 2 to the power of its group's exponent.

    A byte holds two numbers, the first in its low half. The axes of outputs and inputs change
    places, as in `_convert_moe_packed_tensors` of transformers (integrations/mxfp4.py). What the
    exponent 255 stands for is no number (OCP Microscaling Formats 1.0), and is not finite here.

    Args:
        blocks: The numbers, two a byte.
        scales: Exponent of each group of numbers, plus 127.
        dtype: Of the result.
    """
    import torch

    numbers = torch.tensor(_E2M1 + tuple(-number for number in _E2M1))
    pairs = torch.stack([numbers.repeat(16), numbers.repeat_interleave(16)], 1)  # by byte
    factors = (scales.to(torch.float32) - _BIAS).exp2()
    values = pairs[blocks.long()].flatten(-2) * factors.unsqueeze(-1)
    return values.to(dtype).flatten(-2).transpose(1, 2).contiguous()


def mxfp4_weights(specs: Mapping[str, TensorSpec], dtype: str) -> Iterator[tuple[str, Mxfp4Weight]]:
    """Weights in MXFP4 by name.

    Raises:
        CheckpointError: Numbers or exponents are missing, or have another shape or dtype.
    """
    ends = (_BLOCKS, _EXPONENTS)
    stems = {name.removesuffix(end) for name in specs for end in ends if name.endswith(end)}
    for stem in sorted(stems):
        _check_mxfp4(stem, specs)
        experts, outputs, groups, half = specs[stem + _BLOCKS].shape
        spec = TensorSpec((experts, groups * half * 2, outputs), dtype)
        yield stem, Mxfp4Weight(spec, stem + _BLOCKS, stem + _EXPONENTS)


def _check_mxfp4(stem: str, specs: Mapping[str, TensorSpec]) -> None:
    for end, other in ((_BLOCKS, _EXPONENTS), (_EXPONENTS, _BLOCKS)):
        if stem + end not in specs:
            raise CheckpointError(
                f"tensor {stem}{end} is missing, but {stem}{other} of the same weight is stored"
            )
        if (dtype := specs[stem + end].dtype) != "U8":
            raise CheckpointError(
                f"tensor {stem}{end} is stored as {dtype}, but must be bytes (U8), as config.json "
                "says MXFP4"
            )
    shape, exponents = specs[stem + _BLOCKS].shape, specs[stem + _EXPONENTS].shape
    if len(shape) != 4 or shape[3] != _GROUP_BYTES:
        raise CheckpointError(
            f"tensor {stem}{_BLOCKS} has shape {list(shape)}, but MXFP4 has the axes experts, "
            f"outputs, groups, and {_GROUP_BYTES} bytes a group"
        )
    if exponents != shape[:3]:
        raise CheckpointError(
            f"tensor {stem}{_EXPONENTS} has shape {list(exponents)}, but {stem}{_BLOCKS} needs "
            f"{list(shape[:3])}"
        )
