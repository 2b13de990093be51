"""Weights in FP8: numbers of 8 bits and factors, by the methods that store them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from ...errors import CheckpointError
from ...io import TORCH_DTYPES, TensorSpec

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Shaped
    from torch import Tensor

_FP8 = "F8_E4M3"
_SCALES = ("_scale_inv", "_scale")  # after the name of a weight; both are factors
_SCALE_DTYPES = ("F32", "BF16", "F16", "F8_E8M0", "U8")
_BIAS = 127  # of exponents that are stored as bytes (E8M0)
_OF_ACTIVATIONS = re.compile(
    r"(?:^|[._])(?:(?:input|output|activation)_scale(?:_ub)?|[qkv]_scale)$"
)
_COMPRESSED_FORMATS = ("float-quantized", "naive-quantized")

Kind = tuple[int | None, int | None]  # rows and columns of a block; None for all there are
_WHOLE: Kind = (None, None)
_ROW: Kind = (1, None)


@dataclass(frozen=True)
class Fp8Weight:
    """A weight that is stored as numbers of 8 bits and a grid of scales.

    Attributes:
        spec: Its shape, and the dtype in which it is read.
        name: Of the stored numbers.
        scale: Of the stored scales.
        blocks: Numbers that share a scale, along each axis.
        words: What is stored, in words.
    """

    spec: TensorSpec
    name: str
    scale: str
    blocks: tuple[int, ...]
    words: str

    def rows(self, stored: Callable[[str, int, int], Tensor], start: int, stop: int) -> Tensor:
        """Rows [start, stop), dequantized; `stored` reads rows of a stored tensor."""
        import torch

        block = self.blocks[0]
        first, last = start // block, -(-stop // block)
        grid = _grid(self.spec.shape, self.blocks)[1:]
        scale = stored(self.scale, first, last).reshape(last - first, *grid)
        weight = stored(self.name, start, stop)
        dtype = getattr(torch, TORCH_DTYPES[self.spec.dtype])
        return dequantized(weight, scale, self.blocks, start - first * block, dtype)


def dequantized(
    weight: Shaped[Tensor, "*shape"],
    scale: Shaped[Tensor, "*grid"],
    blocks: Sequence[int],
    start: int,
    dtype: torch.dtype,
) -> Float[Tensor, "*shape"]:
    """Weights times the scale of their block: `w[i, j] = q[i, j] * s[i // m, j // n]`.

    The product is computed in float32 and rounded once. So do `Fp8Dequantize` of transformers
    (integrations/finegrained_fp8.py), `weight_dequant` of DeepSeek-V3 (inference/kernel.py) and
    `_dequantize` of compressed-tensors (quantization/lifecycle/forward_helpers.py).

    Args:
        weight: Some rows of the stored weight.
        scale: The scales of the blocks that these rows lie in, of as many axes; bytes are
            exponents of 2 (E8M0).
        blocks: Size of a block along each axis.
        start: Row of the first block at which the weight begins.
        dtype: Of the result.
    """
    import torch

    if scale.dtype == torch.uint8:
        scale = (scale.to(torch.float32) - _BIAS).exp2()
    scale = scale.to(torch.float32)
    for axis, block in enumerate(blocks):
        if scale.shape[axis] > 1:
            first = start if axis == 0 else 0
            places = torch.arange(first, first + weight.shape[axis]) // block
            scale = scale.index_select(axis, places)
    return (weight.to(torch.float32) * scale).to(dtype)


def _words(kind: Kind) -> str:
    rows, columns = kind
    if rows and columns:
        return f"FP8 in blocks of {rows} x {columns}"
    return f"FP8 with one scale a {'row' if rows else 'matrix'}"


def block_kinds(method: Mapping[str, Any]) -> list[Kind]:
    """The kinds of blocks that FP8 may be in; none of a method that cannot be read."""
    match method.get("quant_method"):
        case "fbgemm_fp8":
            return [_ROW]
        case "fp8":
            size = method.get("weight_block_size")
            return [_WHOLE, _ROW] if size is None else [_block_size("weight_block_size", size)]
        case "compressed-tensors":
            return _compressed_kinds(method)
    return []


def _compressed_kinds(method: Mapping[str, Any]) -> list[Kind]:
    """The same of compressed-tensors, whose config may hold several groups of layers."""
    groups, sparsity = method.get("config_groups"), method.get("sparsity_config")
    is_sparse = isinstance(sparsity, Mapping) and sparsity.get("format", "dense") != "dense"
    if not isinstance(groups, Mapping) or is_sparse:
        return []
    result: list[Kind] = []
    for group in groups.values():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if not isinstance(weights, Mapping):
            return []
        stored = (weights.get("type"), weights.get("num_bits"), weights.get("symmetric", True))
        form = group.get("format") or method.get("format")
        if stored != ("float", 8, True) or form not in _COMPRESSED_FORMATS:
            return []
        match weights.get("strategy"):
            case "tensor":
                result.append(_WHOLE)
            case "channel":
                result.append(_ROW)
            case "block":
                result.append(_block_size("block_structure", weights.get("block_structure")))
            case _:
                return []
    return result


def _block_size(key: str, size: Any) -> Kind:
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(each) is int and each > 0 for each in size)
    ):
        raise CheckpointError(f"config.json: {key} must be two whole numbers above 0; got {size!r}")
    return size[0], size[1]


def fp8_weights(
    specs: Mapping[str, TensorSpec], kinds: list[Kind], dtype: str
) -> Iterator[tuple[str, Fp8Weight]]:
    """Weights in FP8 by name.

    Raises:
        CheckpointError: A scale or a weight is missing, or has another shape or dtype.
    """
    expected = "_scale_inv" if any(name.endswith("_scale_inv") for name in specs) else "_scale"
    for name, spec in specs.items():
        _check_scaled(name, specs)
        if spec.dtype != _FP8:
            continue
        scale = next((name + end for end in _SCALES if name + end in specs), None)
        if scale is None:
            raise CheckpointError(
                f"tensor {name} is stored as {_FP8}, but its scale {name}{expected} is missing"
            )
        kind, blocks = _fitting(name, spec, scale, specs[scale], kinds)
        yield name, Fp8Weight(TensorSpec(spec.shape, dtype), name, scale, blocks, _words(kind))


def is_of_activations(name: str) -> bool:
    """Whether a tensor is a scale of activations, or of the cache, which whole weights need not.

    >>> is_of_activations("mlp.up_proj.input_scale"), is_of_activations("mlp.up_proj.weight_scale")
    (True, False)
    """
    return _OF_ACTIVATIONS.search(name) is not None


def _check_scaled(scale: str, specs: Mapping[str, TensorSpec]) -> None:
    """Raise CheckpointError where a tensor is a scale by its name, and of no weight in FP8."""
    end = next((end for end in _SCALES if scale.endswith(end)), None)
    if end is None or is_of_activations(scale):
        return
    weight = scale.removesuffix(end)
    if weight not in specs:
        if end == "_scale_inv" or weight.endswith(".weight"):
            raise CheckpointError(f"tensor {weight} is missing, but its scale {scale} is stored")
    elif specs[weight].dtype != _FP8:
        raise CheckpointError(
            f"tensor {weight} is stored as {specs[weight].dtype}, but must be FP8 ({_FP8}) by "
            f"config.json, as it has a scale ({scale})"
        )


def _fitting(
    name: str, spec: TensorSpec, scale: str, stored: TensorSpec, kinds: list[Kind]
) -> tuple[Kind, tuple[int, ...]]:
    """The kind of blocks that has as many scales as are stored, and their size along each axis.

    Raises:
        CheckpointError: There are none among those of the config, or the scales are no numbers.
    """
    if stored.dtype not in _SCALE_DTYPES:
        known = ", ".join(_SCALE_DTYPES)
        raise CheckpointError(
            f"tensor {scale} is stored as {stored.dtype}, but must be one of {known}"
        )
    grids: dict[tuple[int, ...], None] = {}
    for kind in kinds:
        ends = zip(kind[-len(spec.shape) :], spec.shape[-2:], strict=True)
        blocks = (*(1 for _ in spec.shape[:-2]), *(size or max(1, full) for size, full in ends))
        grid = _grid(spec.shape, blocks)
        is_one = prod(grid) == stored.numel == 1  # of any number of axes
        if stored.shape == grid or is_one or (kind == _WHOLE and stored.shape == grid[:-2] != ()):
            return kind, blocks
        grids[grid] = None
    raise CheckpointError(
        f"tensor {scale} has shape {list(stored.shape)}, but {name} of shape {list(spec.shape)} "
        f"needs {' or '.join(str(list(grid)) for grid in grids)} by config.json"
    )


def _grid(shape: tuple[int, ...], blocks: tuple[int, ...]) -> tuple[int, ...]:
    """Number of blocks along each axis; the last one of an axis may be smaller."""
    return tuple(-(-size // block) for size, block in zip(shape, blocks, strict=True))
