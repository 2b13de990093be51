"""One group at any width: which neurons stay, what down_proj becomes, and how well that does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from ..calibration.moments import FitAndHoldout, Moments, float32_products
from ..criteria import best_first
from ..selection import score_group
from ..spec import PruneSpec
from .ridge import Removal, Ridge, obs_order

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor, nn

RIDGES = (1e-1, 1.0)
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
    moments: Moments,
) -> Int[Tensor, " m"]:
    """Neurons of a group, best first, by any criterion.

    Raises:
        RunError: As `Moments.mean` and `obs_order`.
    """
    where = weights.architecture.groups[group].name
    if spec.criterion == "obs":
        moment = moments.mean(where)
        return obs_order(moment, down_rows(weights, group).T.to(moment), where)
    norms = {group: moments.diagonal(where).sqrt().float().cpu()}
    scores = score_group(weights, group, spec.criterion, spec.seed, norms)
    return best_first(scores)


@float32_products()
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
    order = neuron_order(weights, group, spec, halves.fit)
    moments = [half.ordered(order, where) for half in (halves.fit, halves.held_out)]
    sent = halves.sent
    del halves  # its sums are half of the memory that a layer takes, if nobody else holds them
    weight = down_rows(weights, group).T.to(moments[0])[order.to(moments[0].device)]
    lam, fits = _fits(moments, weight, widths, where)
    both = moments[0].add_(moments.pop())
    ridge, cuts = Ridge(both, lam, where), []
    tensor = weights.architecture.tensors[weights.architecture.groups[group].down]
    stored = getattr(torch, TORCH_DTYPES[spec.stored_dtype or tensor.dtype])
    for width, fit in zip(widths, fits, strict=True):
        down = weight[:width] + ridge.change(Removal(both, weight, width))
        ascending, places = order[:width].sort()
        down = down[places.to(down.device)].T.cpu().to(stored).contiguous()
        if not torch.isfinite(down).all():
            raise CheckpointError(f"{where}: the refit has values too large for {stored}")
        cuts.append(
            GroupCut(keep=tuple(ascending.tolist()), down=down, fit=replace(fit, tokens=sent))
        )
    return cuts


def _fits(
    moments: Sequence[Tensor], weight: Tensor, widths: Sequence[int], where: str
) -> tuple[float, list[LayerFit]]:
    """The ridge, and how well each width does that is fitted to the first half of the text.

    Args:
        moments: Of both halves, in the order in which neurons are kept.
        weight: The transpose of down_proj, in the same order.
        widths: Numbers of neurons to keep.
        where: Name of the layer, for errors.
    """
    half = max(1, len(weight) // 2)
    fit, held_out = (Removal(moment, weight, half) for moment in moments)
    outputs = [each.loss(-weight[:half]) for each in (fit, held_out)]
    lam = best_ridge(moments[0], fit, held_out, where)
    ridge, fits = Ridge(moments[0], lam, where), []
    curve = tuple(ridge.curve(weight).tolist())
    for width in widths:
        removals = [Removal(moment, weight, width) for moment in moments]
        change = ridge.change(removals[0])
        errors = [
            each.loss(change) / output for each, output in zip(removals, outputs, strict=True)
        ]
        fits.append(LayerFit(lam=lam, fit_error=errors[0], held_out_error=errors[1], curve=curve))
    return lam, fits


def best_ridge(moment: Float[Tensor, "m m"], fit: Removal, held_out: Removal, where: str) -> float:
    """The ridge that errs least on the held-out half when half of the neurons stay.

    From the better of `RIDGES`, further ones are tried in steps of ten until the error rises: over
    the ridge it falls to one minimum on every layer of real models that was looked at.

    Args:
        moment: That of the half that is fitted.
        fit, held_out: What both halves lose with the other neurons.
        where: Name of the layer, for errors.

    Raises:
        RunError: The moments allow none.
    """
    tried: dict[float, float] = {}
    waiting, best = list(RIDGES), 0.0
    while waiting:
        lam = waiting.pop(0)
        try:
            change = Ridge(moment, lam, where, fit.kept).change(fit)
        except RunError:
            if not tried or lam > best:
                raise
            break  # less ridge than the moments allow: the best is the least that they do
        tried[lam] = held_out.loss(change)
        best = min(tried, key=tried.__getitem__)
        waiting = waiting or _beyond(best, list(tried))
    return best


def _beyond(best: float, tried: Sequence[float]) -> list[float]:
    """The next ridge to try, where the best is at an end of those that were."""
    if best == max(tried) and best * _STEP <= MOST_LAM:
        return [best * _STEP]
    if best == min(tried) and best / _STEP >= LEAST_LAM:
        return [best / _STEP]
    return []


def cuts_of_layer(
    architecture: Architecture, cuts: Sequence[GroupCut], layer: int
) -> dict[int, GroupCut]:
    """The groups of one layer, by their indices, of those of all layers in order."""
    groups = architecture.groups
    return {i: cut for i, cut in enumerate(cuts) if groups[i].layer == layer}


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
