"""One group at any width: which neurons stay, what down_proj becomes, and how well that does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...arch import Architecture, has_odd_rows
from ...cut import (
    LEAST_LAM,
    MOST_LAM,
    LayerFit,
    Weights,
    down_rows,
    narrow_tensor,
    owner_of,
)
from ...errors import CheckpointError, RunError
from ...io import TORCH_DTYPES
from ..calibration.moments import FitAndHoldout
from ..criteria import best_first
from ..selection import score_group
from ..spec import PruneSpec
from .ridge import Ridge, obs_order, output_power, weight_fallback

if TYPE_CHECKING:
    from jaxtyping import Float64, Int
    from torch import Tensor, nn

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
_STEP = 10.0


@dataclass(frozen=True, kw_only=True)
class GroupCut:
    """One group of neurons at one width."""

    keep: tuple[int, ...]
    down: Tensor
    fit: LayerFit


def neuron_order(
    weights: Weights,
    group: int,
    spec: PruneSpec,
    moment: Float64[Tensor, "m m"],
    weight: Float64[Tensor, "m d"],
) -> Int[Tensor, " m"]:
    """Neurons of a group, best first, by any criterion. Arguments as for `obs_order`."""
    if spec.criterion == "obs":
        return obs_order(moment, weight, weights.architecture.groups[group].name)
    norms = {group: moment.diagonal().sqrt().float().cpu()}
    scores = score_group(weights, group, spec.criterion, spec.seed, norms)
    return best_first(scores)


def group_cuts(
    weights: Weights, group: int, halves: FitAndHoldout, spec: PruneSpec, widths: Sequence[int]
) -> list[GroupCut]:
    """One group at several widths, by one factorisation for each ridge that is tried.

    Args:
        weights, group: One group of the dense model.
        halves: Second moments of its activations.
        spec: Criterion, seed and stored dtype; its target is not looked at.
        widths: Numbers of neurons to keep.

    Raises:
        RunError: The moments do not allow a refit.
        CheckpointError: A refitted weight does not fit into its dtype.
    """
    import torch

    where = weights.architecture.groups[group].name
    moment, held_out = halves.fit.mean(where), halves.held_out.mean(where)
    weight = down_rows(weights, group).T.to(moment)
    order = neuron_order(weights, group, spec, moment, weight)
    lam, ridge = _best_ridge(moment, held_out, weight, order, where)
    curve, whole = tuple(ridge.curve().tolist()), output_power(held_out, weight)
    both = Ridge(halves.fit.merged(halves.held_out).mean(where), weight, order, lam, where)
    tensor = weights.architecture.tensors[weights.architecture.groups[group].down]
    stored = getattr(torch, TORCH_DTYPES[spec.stored_dtype or tensor.dtype])
    cuts = []
    for width in widths:
        kept = order[:width]
        values = ridge.at(width)
        fit = LayerFit(
            lam=lam,
            fit_error=ridge.error(width, values),
            held_out_error=output_power(held_out, weight_fallback(weight, kept, values)) / whole,
            curve=curve,
            tokens=halves.sent,
        )
        ascending, places = kept.sort()
        down = both.at(width)[places.to(weight.device)].T.cpu().to(stored).contiguous()
        if not torch.isfinite(down).all():
            raise CheckpointError(f"{where}: the refit has values too large for {stored}")
        cuts.append(GroupCut(keep=tuple(ascending.tolist()), down=down, fit=fit))
    return cuts


def _best_ridge(
    moment: Tensor, held_out: Tensor, weight: Tensor, order: Tensor, where: str
) -> tuple[float, Ridge]:
    """The ridge that errs least on the held-out half when half of the neurons stay."""
    kept, tried, waiting = order[: max(1, len(order) // 2)], [], list(RIDGES)
    best: tuple[float, float, Ridge] | None = None
    while waiting:
        lam = waiting.pop(0)
        try:
            ridge = Ridge(moment, weight, order, lam, where)
        except RunError:
            if best is None or lam > best[1]:
                raise
            break  # less ridge than the moments allow: the best is the least that they do
        error = output_power(held_out, weight_fallback(weight, kept, ridge.at(len(kept))))
        tried.append(lam)
        if best is None or error < best[0]:
            best = error, lam, ridge
        waiting = waiting or _beyond(best[1], tried)
    assert best is not None
    return best[1], best[2]


def _beyond(best: float, tried: Sequence[float]) -> list[float]:
    """The next ridge to try, where the best is at an end of those that were."""
    if best == max(tried) and best * _STEP <= MOST_LAM:
        return [best * _STEP]
    if best == min(tried) and best / _STEP >= LEAST_LAM:
        return [best / _STEP]
    return []


@contextmanager
def temporarily_cut(
    module: nn.Module, architecture: Architecture, cuts: Mapping[int, GroupCut]
) -> Iterator[None]:
    """The groups of one layer of a model as their cuts leave them, for a while.

    Experts of odd rows are run one by one meanwhile, as once the cut is made.
    """
    import torch

    model: Any = module
    is_odd = any(
        architecture.groups[group].expert is not None and has_odd_rows(len(cut.keep))
        for group, cut in cuts.items()
    )
    run_by = model.get_experts_implementation() if is_odd else None
    keep = {group: cut.keep for group, cut in cuts.items()}
    down = {group: cut.down for group, cut in cuts.items()}
    whole = {}
    try:
        for name, how in architecture.cuts.items():
            if how.group not in cuts:
                continue
            owner = owner_of(module, name)
            old = whole[owner] = getattr(*owner)
            new = narrow_tensor(architecture, name, old.detach(), keep, down)
            setattr(*owner, torch.nn.Parameter(new, requires_grad=False))
        if is_odd:
            model.set_experts_implementation("eager")
        yield
    finally:
        if is_odd:
            model.set_experts_implementation(run_by)
        for owner, old in whole.items():
            setattr(*owner, old)
