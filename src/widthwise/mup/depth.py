"""Networks of different numbers of layers: which layers are beside which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ..errors import LimitError
from .layer_names import split_layer
from .shapes import Shapes

Of = TypeVar("Of")


def deeper_stacks(model: Shapes, base: Shapes) -> tuple[tuple[str, ...], float]:
    """Paths of the lists of layers whose length differs, and how many times as long they are.

    Raises:
        LimitError: Several have grown, and not by the same.
    """
    here, there = _lengths(model), _lengths(base)
    ratios = {
        stack: len(layers) / len(there[stack])
        for stack, layers in here.items()
        if stack in there and len(layers) != len(there[stack])
    }
    if len(set(ratios.values())) > 1:
        growth = ", ".join(f"{stack} is {ratio:g} times as long" for stack, ratio in ratios.items())
        raise LimitError(f"all stacks of layers must grow alike; {growth}")
    return tuple(ratios), next(iter(ratios.values()), 1.0)


def with_layers_of(model: Shapes, other: Shapes) -> Shapes:
    """The shapes of a network as if it had as many layers as the model.

    Each layer is that of the same place, in proportion, or the nearest with the same parameters.

    Raises:
        LimitError: It has no such layer, or as `deeper_stacks`.
    """
    stacks, _ = deeper_stacks(model, other)
    if not stacks:
        return other
    sources = _sources(model, other, stacks)
    return replace(
        other,
        sizes=_spread(other.sizes, stacks, sources),
        attention=_spread(other.attention, stacks, sources),
        fixed=_spread(other.fixed, stacks, sources),
    )


def _sources(model: Shapes, other: Shapes, stacks: Iterable[str]) -> dict[str, str]:
    """Path of the layer that each layer of the model is like, by its own path."""
    here, there = _lengths(model), _lengths(other)
    sources = {}
    for stack in stacks:
        for number, names in here[stack].items():
            place = number * len(there[stack]) // len(here[stack])
            alike = [n for n, theirs in there[stack].items() if theirs == names]
            if not alike:
                odd = min(names ^ min(there[stack].values(), key=lambda n: len(n ^ names)))
                raise LimitError(
                    f"{stack}.{number} has other parameters than all layers of the base: {odd} is "
                    "in one of them alone"
                )
            nearest = min(alike, key=lambda n: abs(n - place))
            sources[f"{stack}.{number}."] = f"{stack}.{nearest}."
    return sources


def _spread(
    found: Mapping[str, Of], stacks: Sequence[str], sources: Mapping[str, str]
) -> dict[str, Of]:
    """What is said of paths, said of the layers of the model instead."""
    result = {name: value for name, value in found.items() if not _in_stack(name, stacks)}
    for path, source in sources.items():
        for name, value in found.items():
            if name.startswith(source):
                result[path + name.removeprefix(source)] = value
    return result


def _lengths(shapes: Shapes) -> dict[str, dict[int, frozenset[str]]]:
    """The names of parameters within each layer, by its number, of each list of layers."""
    stacks: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in shapes.sizes:
        if found := split_layer(name):
            stack, number, within = found
            stacks[stack][number].add(within)
    return {
        stack: {number: frozenset(names) for number, names in layers.items()}
        for stack, layers in stacks.items()
    }


def _in_stack(name: str, stacks: Sequence[str]) -> bool:
    found = split_layer(name)
    return found is not None and found[0] in stacks
