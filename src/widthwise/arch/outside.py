"""Tensors that depend on the width that is cut, but stand outside the layers that are cut."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedModelError
from .built import built_shapes
from .sections import TOWER_WORDS, copied_sections, text_path
from .width import at_widths

if TYPE_CHECKING:
    from ..io import TensorSpec
    from .architecture import Architecture, GroupKind

_ATTENTION = re.compile(r"attn|attention|mixer|mamba|ssm|conv|lora|rotary")
_GLU_PART = re.compile(r"(^|\.)(gate_proj|up_proj|down_proj|gate_up_proj|w1|w2|w3)\.(.*\.)?weight$")


def depends(name: str, shape: tuple[int, ...], hidden: int, width: int) -> bool:
    """Whether a tensor looks like a matrix of a gated block with this width, by name and shape."""
    if len(shape) != 2 or not _GLU_PART.search(name):
        return False
    return shape[0] in (width, 2 * width) or shape == (hidden, width)


def followers(tensors: Mapping[str, TensorSpec], hidden: int, width: int) -> list[str]:
    """Names of the tensors that look like matrices of blocks of this width."""
    pairs = _paired(tensors, hidden, width)
    return [n for n, s in tensors.items() if depends(n, s.shape, hidden, width) or n in pairs]


def refuse_outside(
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorSpec],
    cut: Mapping[str, Any],
    stems: Sequence[str],
    hidden: int,
    kinds: tuple[GroupKind, ...],
) -> None:
    """Raise UnsupportedModelError where a tensor depends on the width and is not cut.

    What looks so (`depends`) is compared with the model that transformers builds at another width:
    what has the same shape there only happens to be as large. Of a family that it does not know, a
    tower whose section of the config states its sizes is taken to be independent.

    Args:
        config: The parsed config.json.
        tensors: The tensors that a cut carries.
        cut: The tensors that are cut.
        stems: Names of the stacks of layers that are cut.
        hidden: Size of the residual stream.
        kinds: The groups that are cut.
    """
    suspects = [n for kind in kinds for n in followers(tensors, hidden, kind.width) if n not in cut]
    if not suspects:
        return
    dense = built_shapes(config) or {}
    moving = moving_names(config, kinds)
    for name in suspects:
        if moving is None:
            is_inside = name.startswith(tuple(f"{stem}." for stem in stems))
            is_dependent = is_inside or not _has_own_section(config, name)
        else:
            known = _nearest(name, tensors[name].shape, dense)
            is_dependent = not known or any(found in moving for found in known)
        if is_dependent:
            raise UnsupportedModelError(
                f"{name} {list(tensors[name].shape)} depends on {kinds[0].key} as well, but is "
                "outside the layers that are cut; widthwise does not know how to cut it"
            )


def moving_names(config: Mapping[str, Any], kinds: tuple[GroupKind, ...]) -> set[str] | None:
    """Parameters whose shapes follow the widths, by what transformers builds at these and others.

    None where it does not build the family.
    """
    dense, other = built_shapes(config), built_shapes(_one_more(config, kinds))
    if dense is None or other is None:
        return None
    return {name for name, shape in dense.items() if other.get(name) != shape}


def _paired(tensors: Mapping[str, TensorSpec], hidden: int, width: int) -> set[str]:
    """Weights of blocks with other names, which lead from the hidden size to the width and back."""
    parents: dict[str, dict[tuple[int, ...], list[str]]] = {}
    for name, spec in tensors.items():
        parent = name.rsplit(".", 2)[0]
        if name.endswith(".weight") and not _ATTENTION.search(parent):
            parents.setdefault(parent, {}).setdefault(spec.shape, []).append(name)
    return {
        name
        for shapes in parents.values()
        if (hidden, width) in shapes and {(width, hidden), (2 * width, hidden)} & set(shapes)
        for shape in ((hidden, width), (width, hidden), (2 * width, hidden))
        for name in shapes.get(shape, ())
    }


def _nearest(name: str, shape: tuple[int, ...], names: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Those names of this shape whose ends have most parts in common with a stored name."""
    common = {other: _common_end(name, other) for other in names if names[other] == shape}
    most = max(common.values(), default=0)
    return [other for other, count in common.items() if count == most] if most > 1 else []


def _common_end(name: str, other: str) -> int:
    pairs = zip(reversed(name.split(".")), reversed(other.split(".")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _has_own_section(config: Mapping[str, Any], name: str) -> bool:
    """Whether a tower has a section of the config, other than the language model's, by its name."""
    settings = [item for part in copied_sections(config) for item in part.items()]
    sections = {key for key, value in settings if isinstance(value, Mapping)}
    others = sections.difference(text_path(config))
    words = {word for key in others for word in key.split("_")} - {"config"}
    alike = [group for group in TOWER_WORDS if words & group]
    return any(word in name for word in words.union(*alike))


def _one_more(config: Mapping[str, Any], kinds: tuple[GroupKind, ...]) -> dict[str, Any]:
    """A copy of a config with one neuron more in the groups of every kind."""
    return at_widths(config, kinds, tuple(kind.width + 1 for kind in kinds))


def refuse_half_cut(config: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise where a model that transformers builds has more that follows the width than is cut.

    A family that transformers does not build passes.

    Raises:
        UnsupportedModelError: Names a parameter that follows the width as well, or no parameter
            follows the setting of the width.
    """
    if architecture.is_renamed:
        _refuse_other_total(config, architecture)
        return
    moving = moving_names(config, architecture.kinds)
    if moving is None:
        return
    if not moving:
        raise UnsupportedModelError(
            f"transformers builds {architecture.model_type} at the same width whatever "
            f"{architecture.kinds[0].key} says, so that it could not load a narrower one"
        )
    other = set(moving)
    for name in architecture.cuts:
        end = next(name[len(stem) :] for stem in architecture.stems if name.startswith(stem))
        alike = {follower for follower in moving if f".{follower}".endswith(end)}
        other -= {max(sorted(alike), key=lambda follower: _common_end(name, follower), default="")}
    if other:
        raise UnsupportedModelError(
            f"{min(other)} depends on {architecture.kinds[0].key} as well, as transformers builds "
            "it; widthwise does not know how to cut it"
        )


def _refuse_other_total(config: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise unless one neuron more in every group adds as many numbers as transformers builds.

    It is for what is stored under other names than it has in memory, so that names do not tell.
    """
    dense, other = built_shapes(config), built_shapes(_one_more(config, architecture.kinds))
    if dense is None or other is None:
        return
    built = sum(map(math.prod, other.values())) - sum(map(math.prod, dense.values()))
    ours = 0
    for name, cut in architecture.cuts.items():
        per_neuron = architecture.tensors[name].numel // architecture.width_of(cut.group)
        ours += per_neuron * architecture.groups[cut.group].factor
    if built != ours:
        raise UnsupportedModelError(
            f"one neuron more in every block would add {built:,} numbers by what transformers "
            f"builds, and {ours:,} by the tensors that widthwise cuts; it does not know this family"
        )
