"""Weights that llama.cpp's converter would take as they are: read once, and checked before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import CheckpointError
from ..checkpoint import Checkpoint
from ..plan import WIDTHS_KEY
from ..weights import check_finite

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK_BYTES = 32 * 2**20


def is_padded(checkpoint: Checkpoint) -> bool:
    """Whether the config says that zeros fill up narrower layers."""
    architecture = checkpoint.architecture
    return not architecture.is_mixture and checkpoint.widths != architecture.neurons()


def check_weights(checkpoint: Checkpoint) -> None:
    """Raise where a file could not hold the weights as the model has them.

    Args:
        checkpoint: The folder, opened.

    Raises:
        CheckpointError: A tensor holds NaN or Inf, or neurons that the config calls padding are not
            zero.

    Cost: each byte is read once.
    """
    padded = is_padded(checkpoint)
    for name, tensor in checkpoint.tensors.items():
        for start, stop in tensor.spec.portions(_CHUNK_BYTES):
            chunk = checkpoint.rows(name, start, stop)
            check_finite(chunk, name)
            if padded:
                _check_padding(checkpoint, name, chunk, start)


def _check_padding(checkpoint: Checkpoint, name: str, chunk: Tensor, start: int) -> None:
    """Raise where rows of a tensor, the first of which is row `start`, have more neurons than the
    config states."""
    import torch

    architecture = checkpoint.architecture
    cut = architecture.cuts.get(name)
    if cut is None:
        return
    stored, width = architecture.width_of(cut.group), checkpoint.widths[cut.group]
    places = torch.arange(cut.parts * stored)
    beyond = (places // cut.parts if cut.interleaved else places % stored) >= width
    if cut.axis == 0:
        beyond = beyond[start : start + len(chunk)]
    if chunk.movedim(cut.axis, 0)[beyond].any():
        layer = architecture.groups[cut.group].layer
        raise CheckpointError(
            f"config.json: {WIDTHS_KEY} states {width} neurons for layer {layer}, but {name} has "
            f"others than zero beyond them; remove {WIDTHS_KEY} if this model is not padded"
        )
