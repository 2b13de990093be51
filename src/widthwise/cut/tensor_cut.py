"""One tensor of a GLU block made narrower, or filled up with zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..arch import Architecture, TensorCut

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped
    from torch import Tensor


def cut_tensor(
    tensor: Shaped[Tensor, "*dims"], cut: TensorCut, keep: Int[Tensor, " kept"], width: int
) -> Shaped[Tensor, "*cut_dims"]:
    """The kept part of one tensor of a GLU block, as a new tensor.

    Args:
        tensor: One tensor of the block, whose `cut.axis` has size `cut.parts * width`; of a stack
            what belongs to one group.
        cut: How it depends on the width.
        keep: Indices of the kept neurons, ascending, shape (new width,).
        width: Neurons before the cut.
    """
    import torch

    if cut.interleaved:
        index = torch.stack([keep * cut.parts + part for part in range(cut.parts)], 1).flatten()
    else:
        index = torch.cat([keep + part * width for part in range(cut.parts)])
    index = index.to(tensor.device)
    if cut.axis == 1:  # gather is twice as fast along rows as index_select (torch 2.13, CPU)
        return tensor.gather(1, index.expand(len(tensor), -1))
    return tensor.index_select(cut.axis, index)


def cut_group(
    architecture: Architecture,
    name: str,
    group: int,
    part: Tensor,
    keep: Sequence[int],
    down: Tensor | None,
) -> Tensor:
    """What is left of one group in a tensor: cut, or of its down the refit.

    Args:
        architecture: Of the dense model.
        name: One of `architecture.cuts`.
        group: Index of the group.
        part: What belongs to it of the tensor.
        keep: The neurons that stay.
        down: Its refitted down, shape (hidden size, neurons); None for none.
    """
    import torch

    cut = architecture.cuts[name]
    if down is not None and name == architecture.groups[group].down:
        return down if cut.axis == 1 else down.T
    return cut_tensor(part, cut, torch.tensor(keep), architecture.width_of(group))


def scaled_rows(tensor: Tensor, scales: Float[Tensor, " rows"]) -> Tensor:
    """A tensor with its rows, of a vector its elements, multiplied by scales, in their dtype."""
    shape = (-1, *[1] * (tensor.dim() - 1))
    return (scales.to(tensor.device).view(shape) * tensor).to(tensor.dtype)


def zero_padded(tensor: Tensor, cut: TensorCut, width: int) -> Tensor:
    """One tensor of a narrow GLU block with zeros in the places of further neurons.

    A neuron whose weights are all zero adds nothing to the output, and no gradient reaches it.

    Args:
        tensor: One tensor of the block, whose `cut.axis` has size `cut.parts` times its neurons.
        cut: How it depends on the width.
        width: Neurons of the result, at least as many.
    """
    import torch

    missing = width - tensor.shape[cut.axis] // cut.parts
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[cut.axis] = missing
    zeros = tensor.new_zeros(shape)
    parts = tensor.chunk(cut.parts, cut.axis)
    return torch.cat([each for part in parts for each in (part, zeros)], cut.axis)
