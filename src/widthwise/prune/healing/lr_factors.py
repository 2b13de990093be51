"""A cut as a change of width: what muP multiplies learning rates by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...cut.checkpoint import Checkpoint
from ...errors import PlanError
from ...mup import Parametrization, parametrize

if TYPE_CHECKING:
    from collections.abc import Mapping


def width_change(child: Checkpoint, dense: Checkpoint) -> Parametrization:
    """The muP of a pruned checkpoint, of which its parent is the base; shapes alone are read.

    Each layer goes by its own width, in which neurons that are padding do not count.

    Args:
        child: The pruned checkpoint.
        dense: Its parent.

    Raises:
        LimitError: They do not have the same parameters.
        PlanError: They have the same widths, or differ in more than those of GLU blocks.
    """
    shapes = [_shapes(each) for each in (child, dense)]
    if shapes[0] == shapes[1]:
        raise PlanError(
            f"{child.name} has the widths of {dense.name}; learning rates stay as they are"
        )
    return _of_blocks(*shapes)


def rate_factors(child: Any, dense: Any) -> dict[str, float]:
    """What the learning rates of a cut model are multiplied by for Adam, by parameter.

    Args:
        child: A `transformers` model.
        dense: Its parent.

    Raises:
        LimitError: They do not have the same parameters, or are of the same widths.
        PlanError: They differ in more than the widths of GLU blocks.
    """
    return factors_of(_of_blocks(child, dense))


def factors_of(change: Parametrization) -> dict[str, float]:
    """Adam's factors by parameter, those of 1 left out."""
    return {one.name: one.adam for one in change.weights if one.adam != 1}


def _of_blocks(child: Any, dense: Any) -> Parametrization:
    found = parametrize(child, dense)
    odd = [one.name for one in found.weights if one.role != "fixed" and ".mlp." not in one.name]
    if odd:
        raise PlanError(
            f"a pruned model must differ from its parent in the width of GLU blocks alone; {odd[0]}"
            " has another shape: give the model that it was cut from"
        )
    return found


def _shapes(checkpoint: Checkpoint) -> Mapping[str, tuple[int, ...]]:
    """Shapes of all tensors, each layer of GLU blocks at its own width."""
    architecture, widths = checkpoint.architecture, checkpoint.widths
    size = architecture.intermediate_size
    width = {
        name: widths[architecture.cuts[name].layer] if name in architecture.cuts else size
        for name in architecture.tensors
        if name not in architecture.tied
    }
    return {name: architecture.spec_at(name, n).shape for name, n in width.items()}
