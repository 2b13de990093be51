"""One block of a layer: the shapes that its tensors must have, and how they depend on the width."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CheckpointError, UnsupportedModelError
from .architecture import GluGroup, TensorCut

if TYPE_CHECKING:
    from ..io import TensorSpec

_PARTS = ("gate_proj", "up_proj", "gate_up_proj", "down_proj")
ROLES = tuple(f"{part}.{kind}" for part in _PARTS for kind in ("weight", "bias"))
KINDS = ("experts", "shared", "mlp")
_ROLE = re.compile(rf"((?:{'|'.join(KINDS)})(?:\.\d+)?)\.({'|'.join(map(re.escape, ROLES))})")


def split_role(role: str) -> tuple[str, str] | None:
    """Block of a layer, and role in that block, of a tensor by its role; None of any other tensor.

    >>> split_role("experts.3.down_proj.weight"), split_role("mlp.router.weight")
    (('experts.3', 'down_proj.weight'), None)
    """
    match = _ROLE.fullmatch(role)
    return None if match is None else (match[1], match[2])


@dataclass(frozen=True, kw_only=True)
class GluBlock:
    """The tensors of one block by their roles in it, or of all experts of a layer in one tensor.

    Attributes:
        names: Role in the block (`"gate_proj.weight"`) to the stored name.
        width: Neurons of one block.
        hidden: Size of the residual stream.
        stacked: Number of experts in each tensor; 0 where a tensor is of one block.
        transposed: Whether matrices have shape (inputs, outputs).
        interleaved: Whether gate and up in one tensor are held neuron by neuron.
        up_first: Whether a tensor of both holds up above gate.
    """

    names: Mapping[str, str]
    width: int
    hidden: int
    stacked: int = 0
    transposed: bool = False
    interleaved: bool = False
    up_first: bool = False

    @property
    def name(self) -> str:
        """Name of the block, as its down is stored (`"model.layers.3.mlp"`)."""
        return self.names["down_proj.weight"].removesuffix(".weight").rpartition(".")[0]

    def cuts(self, group: int) -> dict[str, TensorCut]:
        """How each tensor depends on the width; `group` is the index of the first group."""
        result = {}
        for role in (role for role in ROLES if role in self.names):
            parts, axis = _times(role), self._axis(role)
            if axis is not None:
                is_mixed, up_first = (
                    parts == 2 and each for each in (self.interleaved, self.up_first)
                )
                result[self.names[role]] = TensorCut(
                    group, axis, parts, is_mixed, self.stacked, up_first
                )
        return result

    def group(
        self, layer: int, index: int = 0, expert: int | None = None, factor: int = 1
    ) -> GluGroup:
        """The group of the block, or that at an index of a stack; its kind is not yet known."""
        both = self.names.get("gate_up_proj.weight")
        return GluGroup(
            layer=layer,
            name=f"{self.name}.{index}" if self.stacked else self.name,
            gate=both or self.names.get("gate_proj.weight"),
            up=both or self.names["up_proj.weight"],
            down=self.names["down_proj.weight"],
            expert=expert,
            factor=factor,
        )

    def check(self, tensors: Mapping[str, TensorSpec], by: str) -> None:
        """Raise unless every tensor is one of floats, and of the shape that it must have.

        Args:
            tensors: Shape and dtype of every tensor.
            by: What says so, as the end of a phrase.
        """
        for role in (role for role in ROLES if role in self.names):
            name, shape = self.names[role], self._shape(role)
            spec = tensors[name]
            if not spec.is_float:
                raise UnsupportedModelError(
                    f"{name} is stored as {spec.dtype}; "
                    "widthwise cuts F64, F32, F16 and BF16 weights"
                )
            if spec.shape != shape:
                raise CheckpointError(
                    f"{name} must have shape {list(shape)} {by}; got {list(spec.shape)}"
                )

    def others(self, names: Mapping[str, str]) -> dict[str, str]:
        """Of a layer's tensors, by their roles, those in the block that are none of its own."""
        known = set(self.names.values())
        return {
            role: name
            for role, name in names.items()
            if name.startswith(f"{self.name}.") and name not in known
        }

    def _axis(self, role: str) -> int | None:
        """Axis of the neurons in what belongs to one group; None where there is none."""
        if role.endswith(".bias"):
            return None if role.startswith("down_proj") else 0
        return int(role.startswith("down_proj") != self.transposed)

    def _shape(self, role: str) -> tuple[int, ...]:
        axis, size = self._axis(role), _times(role) * self.width
        shape: tuple[int, ...] = (self.hidden,) if axis is None else (size,)
        if role.endswith(".weight"):
            shape = (size, self.hidden) if axis == 0 else (self.hidden, size)
        return (self.stacked, *shape) if self.stacked else shape


def no_plain_part(name: str) -> UnsupportedModelError:
    """The error for a tensor that is in a block, and none of its matrices."""
    return UnsupportedModelError(
        f"{name} is not part of a plain GLU block; widthwise does not know how to cut it"
    )


def _times(role: str) -> int:
    """How often a neuron stands along its axis."""
    return 2 if role.startswith("gate_up_proj") else 1
