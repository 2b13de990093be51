"""Learning rates: found by a short test on the model itself, multiplied by the factors of muP."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...arch import Architecture, in_block
from ...cut import ModelWeights
from ...cut.checkpoint import Checkpoint
from ...errors import PlanError
from ...mup import Parametrization, parametrize
from .record import LrTrial

if TYPE_CHECKING:
    from torch import Tensor

    from .heldout import HeldOut
    from .training import Trainer

TEST_STEPS = 4
FACTOR = 10**0.5  # from one rate that is tried to the next
UP, DOWN = 5, 6  # most rates above and below the first


def tried(
    trainer: Trainer,
    judge: Callable[[], HeldOut],
    weights: Mapping[str, Tensor],
    parts: Sequence[Tensor],
    rate: float,
) -> LrTrial:
    """Make a few steps at a rate that rises up to `rate`, judge, and take the weights back."""
    value = math.nan
    for i, rows in enumerate(parts):
        terms = trainer.add_gradients(rows)
        if terms is None or not math.isfinite(sum(terms)):
            break
        if not math.isfinite(trainer.masters.step(rate * (i + 1) / len(parts))):
            break
    else:
        value = judge().divergence.value
    trainer.masters.restore(weights)
    return LrTrial(rate=rate, divergence=value if math.isfinite(value) else None)


def search(
    trial: Callable[[float], LrTrial], first: float, before: float, enough: Callable[[], bool]
) -> tuple[LrTrial, ...]:
    """Try rates upwards from the first one while that pays, or else downwards.

    Args:
        trial: Function that tries one rate.
        first: The first rate.
        before: The divergence without any step.
        enough: Whether the time for trials is over; two are made at least.

    Returns:
        The trials in the order in which they were made.
    """
    made = [trial(first)]
    up = _value(made[0]) < before
    for i in range(1, (UP if up else DOWN) + 1):
        if len(made) > 1 and enough():
            break
        made.append(trial(first * FACTOR ** (i if up else -i)))
        latest, earlier = _value(made[-1]), _value(made[-2])
        if latest >= earlier and (up or earlier < before):
            break
    return tuple(made)


def best(trials: Sequence[LrTrial]) -> LrTrial:
    """The trial of the lowest divergence; where none is finite, of the lowest rate."""
    return min(trials, key=lambda trial: (_value(trial), trial.rate))


def _value(trial: LrTrial) -> float:
    return math.inf if trial.divergence is None else trial.divergence


def width_change(child: Checkpoint, dense: Checkpoint) -> Parametrization:
    """The muP of a pruned checkpoint, of which its parent is the base; shapes alone are read.

    The width of each layer is what counts, without neurons that are padding.

    Raises:
        LimitError: They do not have the same parameters.
        PlanError: They have the same widths, or differ in more than those of GLU blocks.
    """
    shapes = [_shapes(each) for each in (child, dense)]
    if shapes[0] == shapes[1]:
        raise PlanError(
            f"{child.name} has the same widths as {dense.name}, so there is no learning rate to "
            "change"
        )
    return _of_blocks(*shapes)


def rate_factors(child: Any, dense: Any) -> dict[str, float]:
    """What the learning rates of a cut model are multiplied by for Adam, by parameter.

    Raises:
        LimitError: They do not have the same parameters, or are of the same widths.
        PlanError: They differ in more than the widths of GLU blocks.
    """
    architectures = [ModelWeights(each).architecture for each in (child, dense)]
    if not architectures[0].is_mixture:
        return factors_of(_of_blocks(child, dense))
    return factors_of(_of_blocks(*(_group_shapes(each, each.neurons()) for each in architectures)))


def factors_of(change: Parametrization) -> dict[str, float]:
    """Adam's factors by parameter, those of 1 left out."""
    return {weight.name: weight.adam for weight in change.weights if weight.adam != 1}


def _of_blocks(child: Any, dense: Any) -> Parametrization:
    result = parametrize(child, dense)
    odd = [
        weight.name
        for weight in result.weights
        if weight.role != "fixed" and not in_block(weight.name)
    ]
    if odd:
        raise PlanError(
            f"a pruned model must differ from its parent in the width of GLU blocks alone; {odd[0]}"
            " has another shape: give the model that it was cut from"
        )
    return result


def _shapes(checkpoint: Checkpoint) -> Mapping[str, tuple[int, ...]]:
    """Shapes of all tensors, each layer of GLU blocks at its own width."""
    architecture = checkpoint.architecture
    neurons = checkpoint.widths if architecture.is_uniform else architecture.neurons()
    return _group_shapes(architecture, neurons)


def _group_shapes(
    architecture: Architecture, neurons: Sequence[int]
) -> Mapping[str, tuple[int, ...]]:
    """Shapes of all tensors at these neurons of the groups; of a stack that of one expert.

    An expert's matrix has its outputs first, in whatever order it is stored.
    """
    shapes = {}
    for name, spec in architecture.tensors.items():
        cut = architecture.cuts.get(name)
        if cut is None:
            shapes[name] = spec.shape
            continue
        shape = architecture.spec_at(name, neurons[cut.group]).shape[bool(cut.stacked) :]
        is_down = name == architecture.groups[cut.group].down
        is_transposed = len(shape) == 2 and cut.axis != is_down
        shapes[name] = shape[::-1] if is_transposed else shape
    return {name: shape for name, shape in shapes.items() if name not in architecture.tied}
