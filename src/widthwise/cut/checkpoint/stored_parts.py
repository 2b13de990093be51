"""Which stored tensors become which part of which parameter, whatever transformers does to them.

transformers renames tensors as it loads them, and puts several into one: the gates and ups of all
experts of a layer, say. So it is given tensors whose every number says which tensor they are, and
the parameters that come out are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .load import built_from
from .model_class import model_class_of

if TYPE_CHECKING:
    from torch import Tensor

    from .reader import Checkpoint

Index = tuple[int | slice, ...]


def stored_parts(checkpoint: Checkpoint) -> dict[str, dict[str, Index]]:
    """For each parameter in memory the stored tensors that it is put together from, and where.

    A stored tensor is `parameter[index]`. Parameters that hold anything else are left out: tensors
    that were transposed, say, or that are used twice.

    Raises:
        CheckpointError, UnsupportedModelError: As `load_model`.

    Memory: that of the parameters that are put together, in float32.
    """
    import torch

    names = list(checkpoint.tensors)
    shapes = {name: tuple(checkpoint.tensors[name].spec.shape) for name in names}
    marked = {  # each tensor is its number, seen at every place of its shape
        name: torch.tensor(float(number)).expand(shapes[name]) for number, name in enumerate(names)
    }
    model, _ = built_from(checkpoint, model_class_of(checkpoint), marked, dtype=torch.float32)
    result = {}
    for parameter, values in model.named_parameters(remove_duplicate=False):
        boxes = _boxes(values.detach())
        parts = {names[n]: _index(box, shapes[names[n]]) for n, box in boxes.items()}
        fits = all(values[index].shape == shapes[name] for name, index in parts.items())
        count = sum(checkpoint.tensors[name].spec.numel for name in parts)
        if parts and fits and count == values.numel():
            result[parameter] = parts
    return result


def _boxes(values: Tensor) -> dict[int, tuple[range, ...]]:
    """The numbers that a tensor consists of, and the places along its axes that each fills."""
    import torch

    if not values.numel():
        return {}
    strides = zip(values.shape, values.stride(), strict=True)
    if all(size == 1 or not stride for size, stride in strides):  # one tensor, never copied
        return {int(values.flatten()[0]): tuple(map(range, values.shape))}
    marks = values
    while marks.ndim > 1 and torch.equal(marks[..., 0], marks[..., -1]):
        marks = marks[..., 0]  # no tensor begins or ends along the last axis
    rest = tuple(map(range, values.shape[marks.ndim :]))
    result = {}
    for number in torch.unique(marks).tolist():
        places = (marks == number).nonzero()
        ends = zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True)
        result[int(number)] = (*(range(low, high + 1) for low, high in ends), *rest)
    return result


def _index(box: tuple[range, ...], shape: tuple[int, ...]) -> Index:
    """A box as an index that gives a shape, in which axes of one place may be missing."""
    missing = len(box) - len(shape)
    index: list[int | slice] = []
    for places in box:
        if missing > 0 and len(places) == 1:
            index.append(places[0])
            missing -= 1
        else:
            index.append(slice(places.start, places.stop))
    return tuple(index)
