"""From weights to a plan, for a model in memory and a checkpoint on disk alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..arch import Width, counts_at
from ..cut import CHUNK_BYTES, Plan, Weights, check_finite, down_rows, fingerprint
from ..errors import PlanError
from .criteria import ROW_CRITERIA, activation, keep_highest, ppm_activation, random
from .spec import PruneSpec

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor


def select(
    weights: Weights,
    spec: PruneSpec,
    activation_norms: Mapping[int, Tensor] | None = None,
) -> Plan:
    """Score every layer and keep the highest.

    Args:
        weights: `ModelWeights` or an opened checkpoint.
        spec: The width, and how to choose.
        activation_norms: Layer to norms of shape (neurons,), for `ppm_activation` and `activation`.

    Raises:
        TargetError: The width is out of range.
        PlanError: Activation norms are missing.
        CheckpointError: A weight is NaN or Inf.

    Cost: reads gate and up once; memory is a few chunks of rows.
    """
    width = spec.width(weights.architecture)
    keep = []
    for layer in range(weights.architecture.layers):
        scores = score_layer(weights, layer, spec.criterion, spec.seed, activation_norms)
        keep.append(tuple(keep_highest(scores, width.width)))
    return plan_of(weights, width, spec, tuple(keep), fingerprint(weights))


def plan_of(
    weights: Weights,
    width: Width,
    spec: PruneSpec,
    keep: tuple[tuple[int, ...], ...],
    identity: str,
) -> Plan:
    """The plan to keep these neurons of weights whose fingerprint is `identity`."""
    architecture = weights.architecture
    dense = counts_at(architecture)
    # Counts are linear in the width and the same for all layers: their mean is that of the whole.
    each = [counts_at(architecture, len(layer), dtype=spec.stored_dtype) for layer in keep]
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
        criterion=spec.criterion,
        seed=spec.seed if spec.criterion == "random" else None,
        keep=keep,
    )


def score_layer(
    weights: Weights,
    layer: int,
    criterion: str,
    seed: int = 0,
    activation_norms: Mapping[int, Tensor] | None = None,
) -> Float32[Tensor, " neurons"]:
    """Scores of one layer's neurons."""
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


def _gate_and_up(weights: Weights, layer: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Rows [start, stop) of gate and of up, checked to be finite."""
    block, width = weights.architecture.block(layer), weights.architecture.intermediate_size
    if weights.architecture.fused:
        places = [(f"{block}.gate_up_proj.weight", 0), (f"{block}.gate_up_proj.weight", width)]
    else:
        places = [(f"{block}.gate_proj.weight", 0), (f"{block}.up_proj.weight", 0)]
    result = []
    for name, offset in places:
        rows = weights.rows(name, offset + start, offset + stop)
        check_finite(rows, name)
        result.append(rows)
    return result[0], result[1]
