"""Blocks of draft layers: groups of neurons like others, but of no model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import CheckpointError, UnsupportedModelError
from .architecture import Architecture, LayerStack
from .blocks import GluBlock, split_role
from .families import role_of
from .mixture import FoundGroups, Stated, mixture_groups, mixture_settings
from .outside import followers
from .sections import section_name
from .stack import Stack, without_shared
from .width import stated_width

if TYPE_CHECKING:
    from ..io import TensorSpec


def with_drafts(architecture: Architecture, drafted: Mapping[str, TensorSpec]) -> Architecture:
    """An architecture with its draft layers, kept where all that follows the width can be cut.

    Their groups are of the kinds that the model has. A block whose width another setting of the
    config states stays as it is.

    Args:
        architecture: The model.
        drafted: The tensors of its draft layers.
    """
    if not drafted:
        return architecture
    try:
        found = mixture_groups(_stack(architecture, drafted), _settings(architecture))
        _refuse_others(architecture, drafted, found)
    except (CheckpointError, UnsupportedModelError) as error:
        return replace(architecture, left_out=dict(drafted), left_out_because=str(error))
    return replace(architecture, drafts=_drafts(architecture, drafted, found))


def _stack(architecture: Architecture, drafted: Mapping[str, TensorSpec]) -> Stack:
    """Draft layers as a stack: what a block is in, however that is called, is a layer."""
    begins = {_layer_of(name, len(spec.shape)): None for name, spec in drafted.items()}
    begins.pop("", None)
    layers = [
        {
            role_of(name.removeprefix(begin), len(spec.shape)): name
            for name, spec in drafted.items()
            if name.startswith(begin)
        }
        for begin in begins
    ]
    return Stack(
        config=architecture.config,
        tensors=drafted,
        stem="",
        layers=without_shared(dict(enumerate(layers))),
        count=len(layers),
        hidden=architecture.hidden_size,
    )


def _layer_of(name: str, axes: int) -> str:
    """Begin of a name up to the block that the tensor is of, or "" for a tensor of none.

    >>> _layer_of("mtp.layers.0.mlp.experts.3.up_proj.weight", 2), _layer_of("mtp.fc.weight", 2)
    ('mtp.layers.0.', '')
    """
    parts = name.split(".")
    for start in range(1, len(parts)):
        if split_role(role_of(".".join(parts[start:]), axes)):
            return ".".join(parts[:start]) + "."
    return ""


def _settings(architecture: Architecture) -> Stated:
    """How the config states the widths of draft blocks: as those of the model's own blocks.

    Where layers have widths of their own, it is what is stated for all others, and after a cut the
    largest: draft layers are of the first kind.

    Raises:
        UnsupportedModelError: There is no such width, or it is none of the largest layers.
    """
    usual, config = mixture_settings(architecture.config), architecture.config
    if architecture.is_mixture:
        return usual
    dense = architecture.kinds[0]
    if dense.layers and stated_width(config) != dense.width:
        raise UnsupportedModelError(
            f"{section_name(config)}: {dense.key} states widths by layers, and for draft layers "
            f"not the largest of them, {dense.width}"
        )

    def stated(kind: str, block: GluBlock) -> tuple[str, int]:
        is_alike = kind == "mlp" and block.width == dense.width
        return (dense.key, dense.width) if is_alike else usual(kind, block)

    return stated


def _refuse_others(
    architecture: Architecture, drafted: Mapping[str, TensorSpec], found: FoundGroups
) -> None:
    """Raise where a tensor of a draft layer looks like one of a block, and none is known."""
    for kind in architecture.kinds:
        for name in followers(drafted, architecture.hidden_size, kind.width):
            if name not in found[2]:
                raise UnsupportedModelError(
                    f"{name} {list(drafted[name].shape)} seems to depend on {kind.key} as well, "
                    "and widthwise does not know how to cut it"
                )


def _drafts(
    architecture: Architecture, drafted: Mapping[str, TensorSpec], found: FoundGroups
) -> Architecture:
    """The draft layers with those groups whose width one of the model's kinds states."""
    kinds, groups, cuts = found
    keys = [kind.key for kind in architecture.kinds]
    moved = [keys.index(kind.key) if kind.key in keys else None for kind in kinds]
    ours = {old: kind for old, each in enumerate(groups) if (kind := moved[each.kind]) is not None}
    numbers = {old: new for new, old in enumerate(ours)}
    return replace(
        architecture,
        stacks=(LayerStack(stem="", count=len({group.layer for group in groups})),),
        groups=tuple(replace(groups[old], kind=kind) for old, kind in ours.items()),
        tensors=dict(drafted),
        cuts={
            name: replace(cut, group=numbers[cut.group])
            for name, cut in cuts.items()
            if cut.group in numbers
        },
        tied=frozenset(),
        parameters=sum(spec.numel for spec in drafted.values() if spec.is_float),
    )
