"""Groups of neurons of a mixture of experts: routed experts, shared ones, and dense blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, UnsupportedModelError
from .architecture import GluGroup, GroupKind, TensorCut
from .families import MIXTURE_KEYS
from .sections import section_name, text_value
from .width import family_in

if TYPE_CHECKING:
    from ..io import TensorSpec
    from .stack import Layers

_KINDS = ("experts", "shared", "mlp")


def mixture_widths(config: Mapping[str, Any]) -> set[int]:
    """All widths that the settings of a mixture state."""
    keys = {key for keys in MIXTURE_KEYS.values() for key in keys}
    values = {text_value(config, key) for key in keys}
    return {value for value in values if type(value) is int and value > 0}


def mixture_groups(
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorSpec],
    layers: Layers,
    count: int,
    hidden: int,
) -> tuple[tuple[GroupKind, ...], tuple[GluGroup, ...], dict[str, TensorCut]]:
    """Kinds, groups and cuts of a stack with experts.

    Args:
        config: The parsed config.json.
        tensors: Every tensor that a cut carries.
        layers: The stack, its tensors by their roles.
        count: Number of its layers.
        hidden: Size of the residual stream.

    Raises:
        CheckpointError: A tensor is missing, or of a shape that does not fit.
        UnsupportedModelError: A layer has no block, a tensor is no matrix of floats, or no setting
            of the config states the width of a group.
    """
    stated = {key: text_value(config, key) for keys in MIXTURE_KEYS.values() for key in keys}
    interleaved = family_in(config).interleaved
    groups: list[GluGroup] = []
    cuts: dict[str, TensorCut] = {}
    keys: list[tuple[str, str, int]] = []  # of each group: name of its kind, setting, its value
    for layer in range(count):
        blocks = _blocks(layers.get(layer, {}))
        if not blocks:
            raise UnsupportedModelError(
                f"layer {layer} holds no GLU block; widthwise cuts models with one in every layer"
            )
        for block, names in blocks.items():
            read = _Block.read(block, names, tensors, hidden)
            kind, _, number = block.partition(".")
            key, value = _stated(stated, kind, read.width, f"layer {layer}", section_name(config))
            cuts |= read.cuts(len(groups), interleaved=interleaved)
            for index in range(max(1, read.stacked)):
                expert = int(number or index) if kind == "experts" else None
                groups.append(read.group(layer, index, expert, read.width // value))
                keys.append((kind, key, value))
    kinds = _kinds(keys)
    places = {kind.key: place for place, kind in enumerate(kinds)}
    whole = (replace(g, kind=places[key]) for g, (_, key, _) in zip(groups, keys, strict=True))
    return kinds, tuple(whole), cuts


@dataclass(frozen=True, kw_only=True)
class _Block:
    """The tensors of one block by their roles in it, or of all experts of a layer in one tensor."""

    names: Mapping[str, str]
    width: int
    hidden: int
    stacked: int  # number of experts in each tensor; 0 where a tensor is of one block
    transposed: bool

    @classmethod
    def read(
        cls, block: str, names: Mapping[str, str], tensors: Mapping[str, TensorSpec], hidden: int
    ) -> _Block:
        has_up = {"up_proj.weight", "gate_up_proj.weight"} & set(names)
        if "down_proj.weight" not in names or not has_up:
            raise CheckpointError(
                f"{next(iter(names.values()))} has no matrices beside it ({block})"
            )
        down = tensors[names["down_proj.weight"]]
        stacked = down.shape[0] if len(down.shape) == 3 else 0
        outputs, inputs = down.shape[-2:] if len(down.shape) > 1 else (0, 0)
        transposed = bool(stacked) and outputs != hidden
        if outputs == inputs == hidden and stacked:  # gate and up tell: (experts, inputs, outputs)
            up = tensors[names.get("gate_up_proj.weight") or names["up_proj.weight"]]
            transposed = up.shape[1] == hidden != up.shape[2]
        width = outputs if transposed else inputs
        result = cls(
            names=names, width=width, hidden=hidden, stacked=stacked, transposed=transposed
        )
        result._check(tensors)
        return result

    def cuts(self, group: int, *, interleaved: bool) -> dict[str, TensorCut]:
        """How each tensor depends on the width; `group` is the index of the first group."""
        result = {}
        for role, name in self.names.items():
            parts, axis = self._parts(role), self._axis(role)
            if axis is not None:
                is_mixed = interleaved and bool(self.stacked) and parts == 2
                result[name] = TensorCut(group, axis, parts, is_mixed, self.stacked)
        return result

    def group(self, layer: int, index: int, expert: int | None, factor: int) -> GluGroup:
        """The group, its kind not yet known, or that at an index of a stack."""
        weights = {role.removesuffix(".weight"): name for role, name in self.names.items()}
        down, both = weights["down_proj"], weights.get("gate_up_proj")
        where = down.removesuffix(".weight").rpartition(".")[0]
        return GluGroup(
            layer=layer,
            name=f"{where}.{index}" if self.stacked else where,
            gate=both or weights.get("gate_proj"),
            up=both or weights["up_proj"],
            down=down,
            expert=expert,
            factor=factor,
        )

    @staticmethod
    def _parts(role: str) -> int:
        return 2 if role.startswith("gate_up_proj") else 1

    def _axis(self, role: str) -> int | None:
        """Axis of the neurons in what belongs to one group; None where there is none."""
        if role.endswith(".bias"):
            return None if role.startswith("down_proj") else 0
        return int(role.startswith("down_proj") != self.transposed)

    def _check(self, tensors: Mapping[str, TensorSpec]) -> None:
        """Raise unless every tensor is one of floats, of the shape that fits to down."""
        for role, name in self.names.items():
            spec, size = tensors[name], self._parts(role) * self.width
            if not spec.is_float:
                raise UnsupportedModelError(
                    f"{name} is stored as {spec.dtype}; "
                    "widthwise cuts F64, F32, F16 and BF16 weights"
                )
            shape: tuple[int, ...]
            if role.endswith(".bias"):
                shape = (self.hidden,) if role.startswith("down_proj") else (size,)
            else:
                shape = (self.hidden, size) if self._axis(role) == 1 else (size, self.hidden)
            shape = (self.stacked, *shape) if self.stacked else shape
            if spec.shape != shape:
                raise CheckpointError(
                    f"{name} must have shape {list(shape)}, by the others of its block; got "
                    f"{list(spec.shape)}"
                )


def _blocks(names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The tensors of a layer by block and by role in it, the blocks in the order of groups."""
    result: dict[str, dict[str, str]] = {}
    for role, name in names.items():
        block, _, rest = role.rpartition("_proj.")
        block, _, part = block.rpartition(".")
        if rest and block.partition(".")[0] in _KINDS:
            result.setdefault(block, {})[f"{part}_proj.{rest}"] = name
    return {block: result[block] for block in sorted(result, key=_place)}


def _place(block: str) -> tuple[int, int]:
    kind, _, expert = block.partition(".")
    return _KINDS.index(kind), int(expert or 0)


def _stated(
    settings: Mapping[str, Any], kind: str, width: int, where: str, section: str
) -> tuple[str, int]:
    """The setting that states the width of a group, and what it states.

    A shared expert may be as wide as several routed ones.
    """
    for key in MIXTURE_KEYS[kind]:
        value = settings[key]
        if type(value) is not int or value < 1:
            continue
        if value == width or (kind == "shared" and width % value == 0):
            return key, value
    raise UnsupportedModelError(
        f"{section}: none of {', '.join(MIXTURE_KEYS[kind])} states the width of the "
        f"{kind} of {where}, which is {width}"
    )


def _kinds(keys: list[tuple[str, str, int]]) -> tuple[GroupKind, ...]:
    """One kind for each setting, named after experts where it states their width too."""
    found: dict[str, GroupKind] = {}
    for name, key, value in keys:
        if key not in found or name == "experts":
            found[key] = GroupKind(name, key, value)
    return tuple(sorted(found.values(), key=lambda kind: (_KINDS.index(kind.name), kind.key)))
