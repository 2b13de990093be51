"""From weights to a plan, for a model in memory and a checkpoint on disk alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..arch import Architecture, Width, counts_at, mean_size
from ..cut import (
    CHUNK_BYTES,
    MIXTURE_FORMAT,
    Plan,
    PlannedKind,
    PlannedWidth,
    Weights,
    down_rows,
    fingerprint,
    gate_or_up_rows,
    one_thread,
)
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
    """Score every group of neurons and keep the highest.

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
    architecture = weights.architecture
    with one_thread():
        for group, neurons in enumerate(architecture.neurons(width.widths)):
            scores = score_group(weights, group, spec.criterion, spec.seed, activation_norms)
            keep.append(tuple(keep_highest(scores, neurons)))
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
    widths: list[tuple[int, ...]] | None = [(len(layer),) for layer in keep]
    of_groups: dict[str, Any] = {}
    if not architecture.is_uniform:
        widths, of_groups = None, {"neurons": architecture.neurons(), "format": MIXTURE_FORMAT}
    return Plan(
        **_counted(weights.name, architecture, spec, width, widths),
        fingerprint=identity,
        criterion=spec.criterion,
        seed=spec.seed if spec.criterion == "random" else None,
        keep=keep,
        **of_groups,
    )


def planned_width(name: str, architecture: Architecture, spec: PruneSpec) -> PlannedWidth:
    """The width that a spec asks for and what a model comes to by it; nothing is chosen or read.

    Args:
        name: What to call the model.
        architecture: Its shapes.
        spec: The width; the criterion has no say.

    Raises:
        TargetError: The width is out of range.
    """
    width = spec.width(architecture)
    return PlannedWidth(
        **_counted(name, architecture, spec, width),
        neurons=architecture.neurons(),
        widths=architecture.neurons(width.widths),
    )


def _counted(
    name: str,
    architecture: Architecture,
    spec: PruneSpec,
    width: Width,
    widths: Sequence[tuple[int, ...]] | None = None,
) -> dict[str, Any]:
    """What a plan and a planned width both state; `widths` are of layers where these differ."""
    dense = counts_at(architecture)
    parameters, weight_bytes = mean_size(architecture, widths or [width.widths], spec.stored_dtype)
    return {
        "parent": name,
        "model_type": architecture.model_type,
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.intermediate_size,
        "asked": width.asked,
        "unaligned": width.unaligned,
        "alignment": width.alignment,
        "parent_parameters": dense.parameters,
        "parameters": parameters,
        "parent_bytes": dense.weight_bytes,
        "weight_bytes": weight_bytes,
        **_of_kinds(architecture, width.widths),
    }


def _of_kinds(architecture: Architecture, widths: tuple[int, ...]) -> dict[str, Any]:
    """The fields that only a model without one block of one width a layer has."""
    if architecture.is_uniform:
        return {}
    kinds = zip(architecture.kinds, widths, strict=True)
    sizes = {"parent_active": None, "active": widths} if architecture.is_mixture else {}
    return {
        "kinds": tuple(PlannedKind(kind.name, kind.width, kept) for kind, kept in kinds),
        **{name: counts_at(architecture, each).active_parameters for name, each in sizes.items()},
    }


def score_group(
    weights: Weights,
    group: int,
    criterion: str,
    seed: int = 0,
    activation_norms: Mapping[int, Tensor] | None = None,
) -> Float32[Tensor, " neurons"]:
    """Scores of one group's neurons."""
    import torch

    width = weights.architecture.width_of(group)
    if criterion == "random":
        # Groups draw from streams of their own, so a group's choice does not hang on its place.
        return random(width, torch.Generator().manual_seed(seed * 1_000_003 + group))
    if criterion == "obs":
        raise PlanError(
            "criterion obs needs second moments of activations; pass a Calibration of calibrate()"
        )
    if criterion in ("ppm_activation", "activation"):
        if activation_norms is None:
            raise PlanError(
                f"criterion {criterion} needs activation norms; pass --calibration FILE (text)"
            )
        down = down_rows(weights, group)
        if criterion == "activation":
            return activation(down, activation_norms[group].to(down.device))
        rows = _gate_and_up(weights, group, 0, width)
        return ppm_activation(rows, down, activation_norms[group])
    row_bytes = 2 * weights.architecture.hidden_size * 4
    step = max(1, CHUNK_BYTES // row_bytes)
    parts = [
        ROW_CRITERIA[criterion](*_gate_and_up(weights, group, start, min(start + step, width)))
        for start in range(0, width, step)
    ]
    return torch.cat(parts)


def _gate_and_up(weights: Weights, group: int, start: int, stop: int) -> list[Tensor]:
    """Rows [start, stop) of gate, where there is one, and of up, checked to be finite."""
    parts = ["up"] if weights.architecture.groups[group].gate is None else ["gate", "up"]
    return [gate_or_up_rows(weights, group, part, start, stop) for part in parts]
