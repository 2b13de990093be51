"""`refit` and `refits`: widths whose down_proj makes up, by least squares, for what was removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arch import Architecture, Width, resolve
from ..errors import CheckpointError, PlanError, RunError
from .calibrating import Calibration, Part, Source, Visit, as_text, opened, part_of, weights_of
from .checkpoint import stored_dtype
from .checkpoint.read import TORCH_DTYPES
from .moments import Halves
from .plan import Plan
from .ridge import Ridge, energy, lost_weight, obs_order
from .scoring import (
    Selection,
    Weights,
    down_name,
    down_rows,
    fingerprint,
    plan_of,
    score_layer,
    target_of,
)
from .surgery import cut_tensor
from .texts import TOKENS
from .walk import Walk

if TYPE_CHECKING:
    from torch import Tensor, nn

LAMS = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, kw_only=True)
class LayerFit:
    """How well the refit of one layer does.

    Errors are the mean squared difference that the cut makes to the output of down_proj, over the
    mean square of that output: 0 is none, 1 as if the block were gone.

    Attributes:
        lam: Ridge, as a share of the mean of the diagonal of the second moments; the best of
            `LAMS` on the held-out half.
        fit_error: On the half that the refit is made from.
        held_out_error: On the other half.
        curve: Loss at every width from 0 to I as a share of that at 0, on the first half, the
            ridge counted in. What an allocation of widths to layers starts from.
    """

    lam: float
    fit_error: float
    held_out_error: float
    curve: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Refit:
    """A plan together with the down_proj weights that belong to it.

    Attributes:
        plan: Which neurons stay.
        down: For each layer the refitted weight of down_proj, shape (hidden_size, width), in the
            dtype in which it is to be stored.
        layers: How well each layer was fitted.
        parts: The calibration text.
        sequential: Whether each layer was fitted behind the layers that were already cut.
    """

    plan: Plan
    down: tuple[Tensor, ...]
    layers: tuple[LayerFit, ...]
    parts: tuple[Part, ...]
    sequential: bool

    @property
    def warning(self) -> str | None:
        """One sentence where the held-out half is reproduced far worse than the fitted one."""
        ratios = [fit.held_out_error / max(fit.fit_error, 1e-12) for fit in self.layers]
        layer = max(range(len(ratios)), key=ratios.__getitem__)
        median = sorted(ratios)[len(ratios) // 2]
        if median < FAR_WORSE:
            return None
        return (
            f"the refit does {median:.1f} times worse on the held-out half of the text than on the "
            f"other (layer {layer}: {ratios[layer]:.1f} times): calibrate on more text, and on "
            "text such as the model will be used for"
        )


FAR_WORSE = 2.0  # times the fit error; see docs/calibrated.md for what usual text gives


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """One layer at one width."""

    keep: tuple[int, ...]
    down: Tensor
    fit: LayerFit


def refit(
    model: str | Path | nn.Module,
    *,
    to: str | float | None = None,
    remove: str | None = None,
    width: int | None = None,
    params: str | int | None = None,
    size: str | int | None = None,
    criterion: str = "activation",
    seed: int = 0,
    align: int | None = None,
    paper_widths: bool = False,
    dtype: str | None = None,
    text: Source = None,
    tokens: int = TOKENS,
    tokenizer: Any = None,
    sequential: bool = True,
    progress: Visit | None = None,
) -> Refit:
    """Choose neurons and refit down_proj layer after layer, each behind those already cut.

    So every layer is fitted to the inputs that it will see in the narrow model. Each width takes
    a pass of its own; for many widths from one pass over the dense model, see `calibrate` and
    `refits`.

    Args:
        model: As for `make_plan`. From disk it is loaded; in memory it is unchanged after it.
        to, remove, width, params, size, seed, align, paper_widths, dtype: As for `make_plan`.
        criterion: `activation`, `obs`, or any other: the refit is made for whatever stays.
        text, tokens, tokenizer: As for `calibrate`.
        sequential: False refits every layer on the activations of the dense model, in one pass.
        progress: Called with each layer that is done.

    Raises:
        RunError: The text is too short, or the numbers do not allow a refit.
        TargetError, PlanError, CheckpointError, UnsupportedModelError: as their messages say.

    Cost: two forward passes and the moments, 1.3 I^2 multiplications and additions a layer and
    token; I^3 operations a layer.
    """
    selection = Selection(
        target=target_of(to=to, remove=remove, width=width, params=params, size=size),
        criterion=criterion,
        seed=seed,
        align=align,
        paper_widths=paper_widths,
        stored_dtype=stored_dtype(dtype),
    )
    with opened(model) as (module, weights):
        read = as_text(text, tokens, tokenizer, module)
        parts = (part_of(read),)
        _width(weights, selection)  # an impossible width is refused before any work
        _check_tokens(parts, weights.architecture.intermediate_size)
        cuts = []
        with Walk(module, read) as walk:
            for layer in range(weights.architecture.layers):
                halves = walk.moments(layer, advance=not sequential)
                (cut,) = _cuts(weights, layer, halves, [selection])
                if sequential:
                    with _narrowed(module, walk.weights.architecture, layer, cut):
                        walk.advance(layer)
                cuts.append(cut)
                if progress:
                    progress(layer)
        return _refit(weights, selection, cuts, parts, sequential=sequential)


def refits(
    model: str | Path | nn.Module, selections: Sequence[Selection], calibration: Calibration
) -> tuple[Refit, ...]:
    """Widths of one criterion from the moments of the dense model, by one factorisation a layer.

    Args:
        model: The model that was calibrated; from disk its weights are read by layers.
        selections: Widths by one criterion and seed.
        calibration: From `calibrate`.

    Raises:
        RunError: The moments do not allow a refit.
        PlanError: The calibration is of another model, or the criteria differ.
    """
    if len({(each.criterion, each.seed) for each in selections}) != 1:
        raise PlanError("widths that are refitted together must be of one criterion and seed")
    with weights_of(model) as weights:
        check_calibration(calibration, weights)
        _check_tokens(calibration.parts, weights.architecture.intermediate_size)
        cuts = [
            _cuts(weights, layer, calibration.layers[layer], selections)
            for layer in range(weights.architecture.layers)
        ]
        return tuple(
            _refit(weights, each, [layer[i] for layer in cuts], calibration.parts, sequential=False)
            for i, each in enumerate(selections)
        )


def plan_by_moments(
    model: str | Path | nn.Module, selection: Selection, source: Calibration | Source, tokens: int
) -> Plan:
    """The plan alone, of any criterion, by the moments of the dense model.

    Args:
        source: A calibration, or text to run the model on, the moments of one layer at a time.

    Raises: as `refits`.
    """
    if isinstance(source, Calibration):
        with weights_of(model) as weights:
            check_calibration(source, weights)
            return _planned(weights, selection, source.layers.__getitem__)
    with opened(model) as (module, weights):
        _width(weights, selection)
        with Walk(module, as_text(source, tokens, None, module)) as walk:
            return _planned(weights, selection, partial(walk.moments, advance=True))


def _planned(weights: Weights, selection: Selection, halves: Callable[[int], Halves]) -> Plan:
    width, keep = _width(weights, selection), []
    for layer in range(weights.architecture.layers):
        moment = halves(layer).fit.mean(weights.architecture.block(layer))
        weight = down_rows(weights, layer).T.to(moment)
        order = neuron_order(weights, layer, selection, moment, weight)
        keep.append(tuple(sorted(order[: width.width].tolist())))
    return plan_of(weights, width, selection, tuple(keep), fingerprint(weights))


def neuron_order(
    weights: Weights, layer: int, selection: Selection, moment: Tensor, weight: Tensor
) -> Tensor:
    """Neurons of a layer, best first, by any criterion. Arguments as for `obs_order`."""
    import torch

    if selection.criterion == "obs":
        return obs_order(moment, weight, weights.architecture.block(layer))
    norms = {layer: moment.diagonal().sqrt().float().cpu()}
    scores = score_layer(weights, layer, selection.criterion, selection.seed, norms)
    return torch.sort(scores.cpu(), descending=True, stable=True).indices  # as `keep_highest`


def check_calibration(calibration: Calibration, weights: Weights) -> None:
    """Raise PlanError unless the calibration was made for these weights."""
    if calibration.model != fingerprint(weights):
        raise PlanError(
            f"the calibration was made for a model whose GLU weights are not those of "
            f"{weights.name}"
        )


def _check_tokens(parts: Sequence[Part], neurons: int) -> None:
    fit, held_out = (
        sum(getattr(p, half) for p in parts) for half in ("fit_tokens", "held_out_tokens")
    )
    if min(fit, held_out) < neurons:
        raise RunError(
            f"a refit needs at least as many tokens as neurons in each half of its text, here "
            f"{neurons:,}; got {fit:,} and {held_out:,}: "
            f"calibrate on at least {2 * neurons:,} tokens"
        )


def _width(weights: Weights, selection: Selection) -> Width:
    return resolve(
        weights.architecture,
        selection.target,
        align=selection.align,
        paper_widths=selection.paper_widths,
        dtype=selection.stored_dtype,
    )


def _cuts(
    weights: Weights, layer: int, halves: Halves, selections: Sequence[Selection]
) -> list[_Cut]:
    """One layer at the widths of all selections."""
    import torch

    where = weights.architecture.block(layer)
    moment, held_out = halves.fit.mean(where), halves.held_out.mean(where)
    weight = down_rows(weights, layer).T.to(moment)
    order = neuron_order(weights, layer, selections[0], moment, weight)
    lam, ridge = _best_ridge(moment, held_out, weight, order, where)
    curve, whole = tuple(ridge.curve().tolist()), energy(held_out, weight)
    both = Ridge(halves.fit.merged(halves.held_out).mean(where), weight, order, lam, where)
    cuts = []
    for selection in selections:
        kept = order[: _width(weights, selection).width]
        values = ridge.at(len(kept))
        fit = LayerFit(
            lam=lam,
            fit_error=ridge.error(len(kept), values),
            held_out_error=energy(held_out, lost_weight(weight, kept, values)) / whole,
            curve=curve,
        )
        ascending, places = kept.sort()
        spec = weights.architecture.tensors[down_name(weights, layer)]
        stored = getattr(torch, TORCH_DTYPES[selection.stored_dtype or spec.dtype])
        down = both.at(len(kept))[places.to(weight.device)].T.cpu().to(stored).contiguous()
        if not torch.isfinite(down).all():
            raise CheckpointError(f"{where}: the refit has values too large for {stored}")
        cuts.append(_Cut(keep=tuple(ascending.tolist()), down=down, fit=fit))
    return cuts


def _best_ridge(
    moment: Tensor, held_out: Tensor, weight: Tensor, order: Tensor, where: str
) -> tuple[float, Ridge]:
    """The ridge that errs least on the held-out half when half of the neurons stay."""
    kept, best = order[: max(1, len(order) // 2)], None
    for lam in LAMS:
        ridge = Ridge(moment, weight, order, lam, where)
        error = energy(held_out, lost_weight(weight, kept, ridge.at(len(kept))))
        if best is None or error < best[0]:
            best = error, lam, ridge
    assert best is not None
    return best[1], best[2]


@contextmanager
def _narrowed(
    module: nn.Module, architecture: Architecture, layer: int, cut: _Cut
) -> Iterator[None]:
    """One layer of a model as the cut leaves it, for a while."""
    import torch

    keep, whole = torch.tensor(cut.keep), {}
    names = [name for name, each in architecture.cuts.items() if each.layer == layer]
    try:
        for name in names:
            owner, _, attribute = name.rpartition(".")
            place = module.get_submodule(owner)
            old = whole[place, attribute] = getattr(place, attribute)
            how = architecture.cuts[name]
            new = (
                cut.down.to(old)
                if how.axis == 1
                else cut_tensor(old.detach(), how, keep, architecture.intermediate_size)
            )
            setattr(place, attribute, torch.nn.Parameter(new, requires_grad=False))
        yield
    finally:
        for (place, attribute), old in whole.items():
            setattr(place, attribute, old)


def _refit(
    weights: Weights,
    selection: Selection,
    cuts: Sequence[_Cut],
    parts: tuple[Part, ...],
    *,
    sequential: bool,
) -> Refit:
    keep = tuple(cut.keep for cut in cuts)
    width = _width(weights, selection)
    return Refit(
        plan=plan_of(weights, width, selection, keep, fingerprint(weights)),
        down=tuple(cut.down for cut in cuts),
        layers=tuple(cut.fit for cut in cuts),
        parts=parts,
        sequential=sequential,
    )
