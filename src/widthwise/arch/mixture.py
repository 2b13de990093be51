"""Groups of neurons of a mixture of experts: routed experts, shared ones, and dense blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UnsupportedModelError
from .architecture import GluGroup, GroupKind, TensorCut
from .blocks import KINDS, GluBlock, no_plain_part, split_role
from .families import ALL_MIXTURE_KEYS, LATENT_KEY, MIXTURE_KEYS
from .layer_widths import OVERRIDES, overrides
from .sections import section_name, text_value
from .width import family_in

if TYPE_CHECKING:
    from ..io import TensorSpec
    from .stack import Stack

FoundGroups = tuple[tuple[GroupKind, ...], tuple[GluGroup, ...], dict[str, TensorCut]]
# Of the name of a kind and a block: the setting that states its width, and what it states.
Stated = Callable[[str, GluBlock], tuple[str, int]]


def mixture_widths(config: Mapping[str, Any]) -> set[int]:
    """All widths that the settings of a mixture state."""
    values = {text_value(config, key) for key in ALL_MIXTURE_KEYS}
    return {value for value in values if type(value) is int and value > 0}


def mixture_settings(config: Mapping[str, Any]) -> Stated:
    """The function that finds the setting by which a config states the width of a block.

    A shared expert may be as wide as several routed ones.
    """
    settings = {key: text_value(config, key) for key in ALL_MIXTURE_KEYS}
    section = section_name(config)

    def stated(kind: str, block: GluBlock) -> tuple[str, int]:
        for key in MIXTURE_KEYS[kind]:
            value = settings[key]
            if type(value) is not int or value < 1:
                continue
            if value == block.width or (kind == "shared" and block.width % value == 0):
                return key, value
        raise UnsupportedModelError(
            f"{section}: none of {', '.join(MIXTURE_KEYS[kind])} states the width of {block.name}, "
            f"which is {block.width}"
        )

    return stated


def mixture_groups(stack: Stack, stated: Stated | None = None) -> FoundGroups:
    """Kinds, groups and cuts of a stack with experts.

    Args:
        stack: The layers.
        stated: Function that tells the setting of the config that states the width of a block, and
            what it states; by default the usual ones of mixtures.

    Raises:
        CheckpointError: A tensor is missing, or of a shape that does not fit.
        UnsupportedModelError: A layer has no block, a tensor is no matrix of floats or belongs to
            a block in another way, or no setting of the config states the width of a group.
    """
    if stated is None:
        _refuse_overrides(stack)
        stated = mixture_settings(stack.config)
    family = family_in(stack.config)
    latent = text_value(stack.config, LATENT_KEY) or stack.hidden
    groups: list[GluGroup] = []
    cuts: dict[str, TensorCut] = {}
    keys: list[tuple[str, str, int]] = []  # of each group: name of its kind, setting, its value
    for layer in range(stack.count):
        names = stack.layers.get(layer, {})
        if not (blocks := _blocks(names)) and family.in_every_layer:
            raise UnsupportedModelError(
                f"layer {layer} holds no GLU block; widthwise cuts models with one in every layer"
            )
        known = {name for parts in blocks.values() for name in parts.values()}
        others = {role: name for role, name in names.items() if name not in known}
        for role, parts in blocks.items():
            block = _read(
                role,
                parts,
                stack.tensors,
                latent if role.startswith("experts") else stack.hidden,
                interleaved=family.interleaved,
            )
            _refuse_others(stack, others, block)
            kind, _, number = role.partition(".")
            key, value = stated(kind, block)
            cuts |= block.cuts(len(groups))
            for index in range(max(1, block.stacked)):
                expert = int(number or index) if kind == "experts" else None
                groups.append(block.group(layer, index, expert, block.width // value))
                keys.append((kind, key, value))
    kinds = _kinds(keys)
    places = {kind.key: place for place, kind in enumerate(kinds)}
    whole = (replace(g, kind=places[key]) for g, (_, key, _) in zip(groups, keys, strict=True))
    return kinds, tuple(whole), cuts


def _refuse_overrides(stack: Stack) -> None:
    """Raise where layers have experts of other widths than the config states for all."""
    if odd := sorted(key for key in ALL_MIXTURE_KEYS if overrides(stack.config, key)):
        raise UnsupportedModelError(
            f"{section_name(stack.config)}: {OVERRIDES} gives layers different values of "
            f"{', '.join(odd)}; widthwise cuts mixtures of experts with one width for each kind "
            "of block"
        )


def _refuse_others(stack: Stack, names: Mapping[str, str], block: GluBlock) -> None:
    """Raise where one of these tensors is in a block and follows its width; a router does not.

    What stands beside a matrix (`gate_proj.weight_scale`) may follow it where the width is as large
    as the hidden size, too.
    """
    for role, name in block.others(names).items():
        other = set() if "_proj." in role else {stack.hidden}
        sizes = set(stack.tensors[name].shape) - other
        if "router" not in role and {block.width, 2 * block.width} & sizes:
            raise no_plain_part(name)


def _read(
    role: str,
    names: Mapping[str, str],
    tensors: Mapping[str, TensorSpec],
    hidden: int,
    *,
    interleaved: bool,
) -> GluBlock:
    """A block whose width its down tells, after the others were found to fit to it."""
    has_up = {"up_proj.weight", "gate_up_proj.weight"} & set(names)
    if "down_proj.weight" not in names or not has_up:
        raise CheckpointError(f"{next(iter(names.values()))} has no matrices beside it ({role})")
    down = tensors[names["down_proj.weight"]]
    stacked = down.shape[0] if len(down.shape) == 3 else 0
    outputs, inputs = down.shape[-2:] if len(down.shape) > 1 else (0, 0)
    transposed = bool(stacked) and outputs != hidden
    if outputs == inputs == hidden and stacked:  # gate and up tell: (experts, inputs, outputs)
        up = tensors[names.get("gate_up_proj.weight") or names["up_proj.weight"]]
        transposed = up.shape[1] == hidden != up.shape[2]
    block = GluBlock(
        names=names,
        width=outputs if transposed else inputs,
        hidden=hidden,
        stacked=stacked,
        transposed=transposed,
        interleaved=interleaved and bool(stacked),
    )
    block.check(tensors, "by the others of its block")
    return block


def _blocks(names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The tensors of a layer by block and by role in it, the blocks in the order of groups."""
    result: dict[str, dict[str, str]] = {}
    for role, name in names.items():
        if split := split_role(role):
            result.setdefault(split[0], {})[split[1]] = name
    return {block: result[block] for block in sorted(result, key=_place)}


def _place(block: str) -> tuple[int, int]:
    kind, _, expert = block.partition(".")
    return KINDS.index(kind), int(expert or 0)


def _kinds(keys: list[tuple[str, str, int]]) -> tuple[GroupKind, ...]:
    """One kind for each setting, named after experts where it states their width too."""
    found: dict[str, GroupKind] = {}
    for name, key, value in keys:
        if key not in found or name == "experts":
            found[key] = GroupKind(name, key, value)
    return tuple(sorted(found.values(), key=lambda kind: (KINDS.index(kind.name), kind.key)))
