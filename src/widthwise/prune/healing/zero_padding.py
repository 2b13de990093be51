"""Neurons that are all zeros: they fill a layer up to a width, and must stay zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...arch import Architecture

if TYPE_CHECKING:
    from torch import Tensor


def zero_neurons(parameters: Mapping[str, Tensor], architecture: Architecture) -> dict[int, Tensor]:
    """Layer to a mask of the neurons whose gate, up and down are all zero, shape (width,)."""
    import torch

    found: dict[int, Tensor] = {}
    for name, cut in architecture.cuts.items():
        size = parameters[name].detach().abs()
        lines = size if size.ndim == 1 else size.amax(1 - cut.axis)
        empty = (lines == 0).view(cut.parts, -1).all(0)
        found[cut.layer] = torch.logical_and(found.get(cut.layer, empty), empty)
    return found


def zero_gradients(
    parameters: Mapping[str, Tensor], architecture: Architecture, masks: Mapping[int, Tensor]
) -> None:
    """Set those neurons to zero again, in place."""
    import torch

    with torch.no_grad():
        for name, cut in architecture.cuts.items():
            mask = masks[cut.layer].repeat(cut.parts).to(parameters[name].device)
            parameters[name].index_fill_(cut.axis, mask.nonzero()[:, 0], 0)
