"""Weights of a model, in memory or on disk, by rows, and whether a plan belongs to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..arch import Architecture, read_architecture
from ..errors import CheckpointError, PlanError, UnsupportedModelError
from ..io import TensorSpec
from .plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .refit_result import Refit


CHUNK_BYTES = 4 * 2**20  # of weights read at a time: small compared with torch itself


FINGERPRINT_ROWS = 32  # of each tensor


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
        self.architecture = read_architecture(config.to_dict(), specs, is_built=True)
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


def down_name(weights: Weights, layer: int) -> str:
    """Name of the weight of a layer's down_proj."""
    return f"{weights.architecture.block(layer)}.down_proj.weight"


def down_rows(weights: Weights, layer: int) -> Tensor:
    """The whole weight of a layer's down_proj, shape (hidden_size, neurons), finite."""
    name = down_name(weights, layer)
    rows = weights.rows(name, 0, weights.architecture.hidden_size)
    check_finite(rows, name)
    return rows


def fingerprint(weights: Weights) -> str:
    """sha256 over shapes and a fixed sample of rows of every GLU weight, as float32.

    The same for a checkpoint on disk and the model loaded from it, also in a wider dtype. It covers
    what a plan depends on, the GLU blocks; embeddings and attention do not enter.
    """
    architecture = weights.architecture
    shape = (architecture.layers, architecture.hidden_size, architecture.intermediate_size)
    digest = hashlib.sha256(repr((shape, architecture.fused)).encode())
    for name in sorted(architecture.cuts, key=lambda n: (architecture.cuts[n].layer, n)):
        size = architecture.tensors[name].shape[0]
        if len(architecture.tensors[name].shape) == 1:
            digest.update(weights.rows(name, 0, size).float().cpu().numpy().tobytes())
            continue
        for index in range(0, size, max(1, size // FINGERPRINT_ROWS)):
            digest.update(weights.rows(name, index, index + 1).float().cpu().numpy().tobytes())
    return digest.hexdigest()


def check_plan(plan: Plan, weights: Weights) -> None:
    """Raise PlanError unless the plan was made for these weights."""
    if not isinstance(plan, Plan):
        raise PlanError(f"a plan must be a Plan (Plan.load reads a file); got {plan!r}")
    architecture = weights.architecture
    for what, planned, result in (
        ("model_type", plan.model_type, architecture.model_type),
        ("layers", len(plan.keep), architecture.layers),
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


def check_refit_wanted(criterion: str, refit: object) -> None:
    """Raise PlanError where a criterion ought to have a refit and nobody decided (None)."""
    if refit is None and criterion == "obs":
        raise PlanError(
            "neurons chosen by obs without a refit are worse than those chosen by activation: "
            "refit (--refit, refit=...), or insist on it (--no-refit, refit=False)"
        )
