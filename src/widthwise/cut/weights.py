"""Weights of a model, in memory or on disk, by rows, and whether a plan belongs to them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..arch import Architecture, read_architecture
from ..errors import CheckpointError, PlanError, UnsupportedModelError
from ..io import TensorSpec
from .compact_config import family_config
from .plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .refit_result import Refit


CHUNK_BYTES = 4 * 2**20  # of weights read at a time: small compared with torch itself


@contextmanager
def one_thread() -> Iterator[None]:
    """While open, torch computes in one thread, in this process.

    Chunks take so little time that threads mostly wait for each other, and many times as long where
    other processes use the processor too; hashing and writing are in threads of their own.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


FINGERPRINT_ROWS = 32  # of each tensor
FINGERPRINT_EXPERTS, SAMPLED_NEURONS = 16, 8  # one of so many experts; so many of each


class Weights(Protocol):
    """Named tensors of one model, readable by rows."""

    name: str
    architecture: Architecture

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows [start, stop) of a tensor; of a vector, its elements."""


class ModelWeights:
    """The weights of a `transformers` model in memory, by the names of its parameters."""

    def __init__(self, model: nn.Module) -> None:
        config: Any = getattr(model, "config", None)
        if not hasattr(config, "to_dict"):
            raise UnsupportedModelError(
                "a model must be a transformers model (if it is in a wrapper, pass the model "
                f"inside); got {type(model).__name__}"
            )
        parameters = dict(model.named_parameters())
        specs = {name: TensorSpec(tuple(p.shape), _dtype_name(p)) for name, p in parameters.items()}
        self.architecture = read_architecture(family_config(config.to_dict()), specs, is_built=True)
        self.name = str(getattr(config, "_name_or_path", "") or type(model).__name__)
        self._parameters = parameters

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        parameter = self._parameters[name]
        if parameter.is_meta:
            raise UnsupportedModelError(
                f"{name} holds no data (meta device, or offloaded); load the whole model, or prune "
                "its checkpoint on disk"
            )
        return parameter.detach()[start:stop]


class DraftWeights:
    """The weights of a checkpoint's draft layers, as if they were a model.

    Args:
        weights: The checkpoint, which has draft layers that a cut keeps.
    """

    def __init__(self, weights: Weights) -> None:
        assert weights.architecture.drafts is not None
        self.name = weights.name
        self.architecture: Architecture = weights.architecture.drafts
        self._weights = weights

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self._weights.rows(name, start, stop)


def _dtype_name(tensor: Tensor) -> str:
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    dtype = str(tensor.dtype).removeprefix("torch.")
    return names.get(dtype, "U8" if dtype not in ("int64", "int32") else dtype.upper())


def check_finite(tensor: Tensor, name: str) -> None:
    """Raise CheckpointError when a tensor holds NaN or Inf."""
    import torch

    if tensor.is_floating_point() and tensor.numel():
        tensor = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # float8 has no aminmax
        low, high = torch.aminmax(tensor)  # one pass, no copy; NaN spreads to both
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise CheckpointError(f"tensor {name} holds NaN or Inf")


def gate_or_up_rows(weights: Weights, group: int, name: str, start: int, stop: int) -> Tensor:
    """Neurons [start, stop) of the gate or the up of a group, shape (neurons, hidden), finite.

    Args:
        name: `"gate"` or `"up"`.
    """
    each, width = weights.architecture.groups[group], weights.architecture.width_of(group)
    tensor = each.up if name == "up" else each.gate
    assert tensor is not None
    cut = weights.architecture.cuts[tensor]
    part = cut.parts - 1 if (name == "up") != cut.up_first else 0
    if not cut.stacked:
        rows = weights.rows(tensor, part * width + start, part * width + stop)
    else:
        matrix = _matrix(weights, tensor, group)
        matrix = matrix.T if cut.axis == 1 else matrix
        rows = matrix[part :: cut.parts] if cut.interleaved else matrix[part * width :][:width]
        rows = rows[start:stop]
    check_finite(rows, tensor)
    return rows


def down_rows(weights: Weights, group: int) -> Tensor:
    """The whole down of a group, shape (hidden_size, neurons), finite."""
    name = weights.architecture.groups[group].down
    cut, matrix = weights.architecture.cuts[name], _matrix(weights, name, group)
    check_finite(matrix, name)
    return matrix.T if cut.axis == 0 else matrix


def _matrix(weights: Weights, name: str, group: int) -> Tensor:
    """What belongs to a group of a tensor, as it is stored."""
    cut = weights.architecture.cuts[name]
    if cut.stacked:
        index = group - cut.group
        return weights.rows(name, index, index + 1)[0]
    return weights.rows(name, 0, weights.architecture.tensors[name].shape[0])


def fingerprint(weights: Weights) -> str:
    """sha256 over shapes and a fixed sample of rows of every GLU weight, as float32.

    The same for a checkpoint on disk and the model loaded from it, also in a wider dtype. It covers
    what a plan depends on, the GLU blocks; embeddings and attention do not enter.
    """
    architecture = weights.architecture
    if architecture.is_renamed or not architecture.is_uniform:
        return _fingerprint_by_groups(weights)
    shape = (architecture.layers, architecture.hidden_size, architecture.intermediate_size)
    digest = hashlib.sha256(repr((shape, architecture.fused)).encode())
    for name in sorted(architecture.cuts, key=lambda n: (architecture.cuts[n].group, n)):
        size = architecture.tensors[name].shape[0]
        if len(architecture.tensors[name].shape) == 1:
            digest.update(weights.rows(name, 0, size).float().cpu().numpy().tobytes())
            continue
        for index in range(0, size, max(1, size // FINGERPRINT_ROWS)):
            digest.update(weights.rows(name, index, index + 1).float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _fingerprint_by_groups(weights: Weights) -> str:
    """The same by groups, for what is in other tensors on disk than in memory.

    Of the experts of a layer, a few are sampled.
    """
    architecture = weights.architecture
    kinds = [(kind.key, kind.width) for kind in architecture.kinds]
    shape = (architecture.hidden_size, kinds, len(architecture.groups))
    digest = hashlib.sha256(repr(shape).encode())
    for index, group in enumerate(architecture.groups):
        if group.expert is not None and group.expert % FINGERPRINT_EXPERTS:
            continue
        width = architecture.width_of(index)
        step = max(1, width // SAMPLED_NEURONS)
        for part in ("up",) if group.gate is None else ("gate", "up"):
            for neuron in range(0, width, step):
                rows = gate_or_up_rows(weights, index, part, neuron, neuron + 1)
                digest.update(rows.float().cpu().contiguous().numpy().tobytes())
        down = down_rows(weights, index)[:: max(1, architecture.hidden_size // SAMPLED_NEURONS)]
        digest.update(down.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def kept_widths(plan: Plan, architecture: Architecture) -> tuple[int, ...]:
    """The width of each kind of group once a plan is carried out; of unequal groups the widest."""
    widths = [0] * len(architecture.kinds)
    for keep, group in zip(plan.keep, architecture.groups, strict=True):
        widths[group.kind] = max(widths[group.kind], -(-len(keep) // group.factor))
    return tuple(widths)


def check_plan(plan: Plan, weights: Weights) -> None:
    """Raise PlanError unless the plan was made for these weights."""
    if not isinstance(plan, Plan):
        raise PlanError(f"a plan must be a Plan (Plan.load reads a file); got {plan!r}")
    architecture = weights.architecture
    for what, planned, result in (
        ("model_type", plan.model_type, architecture.model_type),
        ("layers", len(plan.keep), len(architecture.groups)),
        ("hidden_size", plan.hidden_size, architecture.hidden_size),
        ("intermediate_size", plan.intermediate_size, architecture.intermediate_size),
    ):
        if planned != result:
            raise PlanError(
                f"the plan was made for {plan.parent} with {what} {planned}; "
                f"{weights.name} has {result}"
            )
    if plan.fingerprint != fingerprint(weights):
        raise PlanError(
            f"the plan was made for {plan.parent}, whose GLU weights are not those of "
            f"{weights.name}; make a new plan"
        )


def check_refit(plan: Plan, refit: Refit | Literal[False] | None) -> Sequence[Tensor] | None:
    """The refitted weights of down_proj by layers, or None where there are none.

    Raises:
        PlanError: The refit belongs to another plan, or the criterion ought to have one.
    """
    check_refit_wanted(plan.criterion, refit)
    if not refit:
        return None
    if refit.plan.digest != plan.digest:
        raise PlanError("the refit was made for another plan; pass its plan, refit.plan")
    return refit.down


def scales_by_name(
    architecture: Architecture, refit: Refit | Literal[False] | None
) -> dict[str, Tensor]:
    """The scales of rows that a refit has, by the names of the tensors.

    Raises:
        PlanError: A tensor is not there in the shape that they are for.
    """
    result = {}
    for (layer, inside), scales in (refit.rows if refit else {}).items():
        name = f"{architecture.layer_names[layer]}.{inside}"
        if name not in architecture.tensors or architecture.tensors[name].shape[0] != len(scales):
            raise PlanError(
                f"the refit has scales for {len(scales)} rows of {name}, which the model has not; "
                "apply it to the checkpoint that it was made for"
            )
        result[name] = scales
    return result


def check_refit_wanted(criterion: str, refit: object) -> None:
    """Raise PlanError where a criterion ought to have a refit and nobody decided (None)."""
    if refit is None and criterion == "obs":
        raise PlanError(
            "neurons chosen by obs without a refit are worse than those chosen by activation: "
            "refit (--refit, refit=...), or insist on it (--no-refit, refit=False)"
        )
