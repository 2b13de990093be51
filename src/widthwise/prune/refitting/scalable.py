"""Which tensors beside the GLU blocks can be scaled by rows after a refit."""

from __future__ import annotations

from collections.abc import Sequence

from ...arch import Architecture
from ...cut import Weights

_WEIGHT = ".weight"


def scalable(stored: Weights, run: Weights, renamed: Sequence[str]) -> list[list[str]]:
    """Matrices and norms of each layer, by their names in it.

    They must be stored under the name and in the shape in which they are run. In a layer with
    experts they are norms alone, as a router with scales would choose other experts.

    Args:
        stored: The weights as the result will store them.
        run: The weights of the module that is run.
        renamed: Parts of names under which tensors of other names are run (`renamed_parts`).
    """
    layers = range(run.architecture.layers)
    names = [_of_layer(stored.architecture, run.architecture, layer) for layer in layers]
    return [[name for name in each if not _is_renamed(name, renamed)] for each in names]


def _is_renamed(name: str, parts: Sequence[str]) -> bool:
    return any(part in f".{name}" for part in parts)


def _of_layer(stored: Architecture, run: Architecture, layer: int) -> list[str]:
    begin = f"{run.layer_names[layer]}."
    owner = f"{stored.layer_names[layer]}."
    has_experts = any(g.expert is not None for g in run.groups if g.layer == layer)
    dimensions = (1,) if has_experts else (1, 2)
    names = []
    for name, spec in run.tensors.items():
        inside = name.removeprefix(begin)
        if inside == name or not name.endswith(_WEIGHT) or len(spec.shape) not in dimensions:
            continue
        twin = stored.tensors.get(owner + inside)
        is_cut = name in run.cuts or owner + inside in stored.cuts
        if twin is not None and twin.shape == spec.shape and twin.is_float and not is_cut:
            names.append(inside)
    return names
