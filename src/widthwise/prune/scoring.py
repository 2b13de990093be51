"""From weights to a plan, for a model in memory and a checkpoint on disk alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..arch import (
    Architecture,
    Target,
    Width,
    check_rounding,
    counts_at,
    read_architecture,
    resolve,
)
from ..errors import CheckpointError, PlanError, TargetError, UnsupportedModelError
from ..io import TensorSpec
from .importance import (
    CRITERIA,
    MOMENT_CRITERIA,
    ROW_CRITERIA,
    activation,
    keep_highest,
    ppm_activation,
    random,
)
from .plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .refitting import Refit

CHUNK_BYTES = 4 * 2**20  # of weights read at a time: small beside torch itself
FINGERPRINT_ROWS = 32  # of each tensor


def target_of(**asked: str | float | None) -> Target:
    """The one target among `to`, `remove`, `width`, `params` and `size` that is not None.

    >>> target_of(to="2.4x", width=None)
    Target(kind='to', text='2.4x')
    """
    given = [(kind, value) for kind, value in asked.items() if value is not None]
    if len(given) != 1:
        names = ", ".join(f"--{kind}" for kind in asked)
        raise TargetError(f"a width must be asked for in exactly one way: {names}")
    kind, value = given[0]
    return Target(kind, str(value))  # type: ignore[arg-type]


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
                f"a model must be a transformers model (of a wrapper pass what is inside); "
                f"got {type(model).__name__}"
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
                f"{name} holds no data (meta device, or offloaded); load the model whole, or prune "
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


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is asked of a plan.

    Attributes:
        target: The width asked for.
        criterion: One of `CRITERIA` or `MOMENT_CRITERIA`.
        seed: Of the `random` criterion.
        align: Multiple to round the width down to; None for the default of the model, 1 for none.
        paper_widths: Use the paper's rule for the width.
        stored_dtype: safetensors name of the dtype that a `size` target is meant in.

    Raises:
        PlanError: Unknown criterion.
        TargetError: An alignment below 1, or the paper's rule for another target than `remove`.
    """

    target: Target
    criterion: str = "ppm"
    seed: int = 0
    align: int | None = None
    paper_widths: bool = False
    stored_dtype: str | None = None

    def __post_init__(self) -> None:
        if self.criterion not in (*CRITERIA, *MOMENT_CRITERIA):
            known = ", ".join((*CRITERIA, *MOMENT_CRITERIA))
            raise PlanError(f"criterion must be one of {known}; got {self.criterion!r}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**31:
            raise PlanError(f"seed must be a whole number in [0, 2^31); got {self.seed!r}")
        check_rounding(self.target, self.align, self.paper_widths)


def select(
    weights: Weights,
    selection: Selection,
    activation_norms: Mapping[int, Tensor] | None = None,
) -> Plan:
    """Score every layer and keep the highest.

    Args:
        weights: `ModelWeights` or an opened checkpoint.
        selection: The width, and how to choose.
        activation_norms: For `ppm_activation` and `activation`: layer to norms of shape
            (neurons,).

    Raises:
        TargetError: The width is out of range.
        PlanError: Activation norms are missing.
        CheckpointError: A weight is NaN or Inf.

    Cost: reads gate and up once; memory is a few chunks of rows.
    """
    architecture, target = weights.architecture, selection.target
    width = resolve(
        architecture,
        target,
        align=selection.align,
        paper_widths=selection.paper_widths,
        dtype=selection.stored_dtype,
    )
    keep = []
    for layer in range(architecture.layers):
        scores = score_layer(weights, layer, selection.criterion, selection.seed, activation_norms)
        keep.append(tuple(keep_highest(scores, width.width)))
    return plan_of(weights, width, selection, tuple(keep), fingerprint(weights))


def plan_of(
    weights: Weights,
    width: Width,
    selection: Selection,
    keep: tuple[tuple[int, ...], ...],
    identity: str,
) -> Plan:
    """The plan to keep these neurons of weights whose fingerprint is `identity`."""
    architecture = weights.architecture
    dense = counts_at(architecture)
    # Counts are linear in the width and the same for all layers: their mean is that of the whole.
    each = [counts_at(architecture, len(layer), dtype=selection.stored_dtype) for layer in keep]
    return Plan(
        parent=weights.name,
        fingerprint=identity,
        model_type=architecture.model_type,
        hidden_size=architecture.hidden_size,
        intermediate_size=architecture.intermediate_size,
        asked=width.asked,
        unaligned=width.unaligned,
        alignment=width.alignment,
        parent_parameters=dense.parameters,
        parameters=sum(counts.parameters for counts in each) // len(each),
        parent_bytes=dense.weight_bytes,
        weight_bytes=sum(counts.weight_bytes for counts in each) // len(each),
        criterion=selection.criterion,
        seed=selection.seed if selection.criterion == "random" else None,
        keep=keep,
    )


def score_layer(
    weights: Weights,
    layer: int,
    criterion: str,
    seed: int = 0,
    activation_norms: Mapping[int, Tensor] | None = None,
) -> Tensor:
    """Scores of one layer's neurons, float32, shape (intermediate_size,)."""
    import torch

    width = weights.architecture.intermediate_size
    if criterion == "random":
        # Layers draw from streams of their own, so a layer's choice does not hang on its place.
        return random(width, torch.Generator().manual_seed(seed * 1_000_003 + layer))
    if criterion == "obs":
        raise PlanError(
            "criterion obs needs second moments of activations; pass a Calibration of calibrate()"
        )
    if criterion in ("ppm_activation", "activation"):
        if activation_norms is None:
            raise PlanError(
                f"criterion {criterion} needs activation norms; pass --calibration FILE (text)"
            )
        down = down_rows(weights, layer)
        if criterion == "activation":
            return activation(down, activation_norms[layer].to(down.device))
        gate, up = _gate_and_up(weights, layer, 0, width)
        return ppm_activation(gate, up, down, activation_norms[layer])
    row_bytes = 2 * weights.architecture.hidden_size * 4
    step = max(1, CHUNK_BYTES // row_bytes)
    parts = [
        ROW_CRITERIA[criterion](*_gate_and_up(weights, layer, start, min(start + step, width)))
        for start in range(0, width, step)
    ]
    return torch.cat(parts)


def down_name(weights: Weights, layer: int) -> str:
    """Name of the weight of a layer's down_proj."""
    return f"{weights.architecture.block(layer)}.down_proj.weight"


def down_rows(weights: Weights, layer: int) -> Tensor:
    """The whole weight of a layer's down_proj, shape (hidden_size, neurons), finite."""
    name = down_name(weights, layer)
    rows = weights.rows(name, 0, weights.architecture.hidden_size)
    check_finite(rows, name)
    return rows


def _gate_and_up(weights: Weights, layer: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Rows [start, stop) of gate and of up, checked to be finite."""
    block, width = weights.architecture.block(layer), weights.architecture.intermediate_size
    if weights.architecture.fused:
        places = [(f"{block}.gate_up_proj.weight", 0), (f"{block}.gate_up_proj.weight", width)]
    else:
        places = [(f"{block}.gate_proj.weight", 0), (f"{block}.up_proj.weight", 0)]
    found = []
    for name, offset in places:
        rows = weights.rows(name, offset + start, offset + stop)
        check_finite(rows, name)
        found.append(rows)
    return found[0], found[1]


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
    for what, planned, found in (
        ("model_type", plan.model_type, architecture.model_type),
        ("layers", len(plan.keep), architecture.layers),
        ("hidden_size", plan.hidden_size, architecture.hidden_size),
        ("intermediate_size", plan.intermediate_size, architecture.intermediate_size),
    ):
        if planned != found:
            raise PlanError(
                f"the plan was made for {plan.parent} with {what} {planned}; "
                f"{weights.name} has {found}"
            )
    if plan.fingerprint != fingerprint(weights):
        raise PlanError(
            f"the plan was made for {plan.parent}, whose GLU weights are not those of "
            f"{weights.name}"
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
        raise PlanError("a refit belongs to its own plan; pass refit.plan")
    return refit.down


def check_refit_wanted(criterion: str, refit: object) -> None:
    """Raise PlanError where a criterion ought to have a refit and nobody decided (None)."""
    if refit is None and criterion == "obs":
        raise PlanError(
            "neurons chosen by obs without a refit are worse than those chosen by activation: "
            "refit (--refit, refit=...), or insist (--no-refit, refit=False)"
        )
