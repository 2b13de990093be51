"""`refit` and `refits`: widths whose down_proj makes up, by least squares, for what was removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arch import Width, resolve
from ...cut import CalibrationSource, Plan, Refit, Weights, down_rows, fingerprint
from ...errors import PlanError, RunError
from ..calibration.layerwise import LayerwiseRunner
from ..calibration.moments import FitAndHoldout
from ..calibration.second_moments import (
    Calibration,
    LayerCallback,
    TextSource,
    as_text,
    load_for_calibration,
    open_weights,
    source_of,
)
from ..calibration.text import TOKENS
from ..request import PruneSpec, check_text, spec_of
from ..selection import plan_of
from .layer_fit import LayerCut, layer_cuts, neuron_order, temporarily_cut

if TYPE_CHECKING:
    from torch import nn


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
    text: TextSource = None,
    tokens: int = TOKENS,
    tokenizer: Any = None,
    sequential: bool = True,
    widths: Sequence[int] | None = None,
    progress: LayerCallback | None = None,
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
        widths: Neurons to keep in each layer, in place of as many in all of them.
        progress: Called with each layer that is done.

    Raises:
        RunError: The text is too short, or the numbers do not allow a refit.
        TargetError, PlanError, CheckpointError, UnsupportedModelError: as their messages say.

    Cost: two forward passes and the moments, 1.3 I^2 multiplications and additions a layer and
    token; I^3 operations a layer.
    """
    selection = spec_of(
        to=to, remove=remove, width=width, params=params, size=size, criterion=criterion,
        seed=seed, align=align, paper_widths=paper_widths, dtype=dtype,
    )  # fmt: skip
    check_text(text, tokens)
    with load_for_calibration(model) as (module, weights):
        read = as_text(text, tokens, tokenizer, module)
        parts = (source_of(read),)
        uniform = _width(weights, selection)  # an impossible width is refused before any work
        counts = _checked_widths(widths, weights) or (uniform.width,) * weights.architecture.layers
        check_tokens(parts, weights.architecture.intermediate_size)
        with LayerwiseRunner(module, read) as walk:
            cuts = _fitted(walk, module, weights, selection, counts, sequential, progress)
        return _refit(weights, selection, cuts, parts, sequential=sequential)


def _fitted(
    walk: LayerwiseRunner,
    module: nn.Module,
    weights: Weights,
    selection: PruneSpec,
    counts: Sequence[int],
    sequential: bool,
    progress: LayerCallback | None,
) -> list[LayerCut]:
    """All layers, each one at its own width."""
    cuts = []
    for layer, count in enumerate(counts):
        halves = walk.moments(layer, advance=not sequential)
        (cut,) = layer_cuts(weights, layer, halves, selection, [count])
        if sequential:
            with temporarily_cut(module, walk.weights.architecture, layer, cut):
                walk.advance(layer)
        cuts.append(cut)
        if progress:
            progress(layer)
    return cuts


def refits(
    model: str | Path | nn.Module,
    selections: Sequence[PruneSpec],
    source: Calibration | TextSource = None,
    *,
    tokens: int = TOKENS,
    tokenizer: Any = None,
    progress: LayerCallback | None = None,
) -> tuple[Refit, ...]:
    """Widths of one criterion by the moments of the dense model, by one factorisation a layer.

    Args:
        model: With a calibration the one that was calibrated, whose weights are read by layers from
            disk; with text it is loaded.
        selections: Widths by one criterion, seed and stored dtype.
        source: From `calibrate`; or text, as `calibrate` takes it, of which the moments of one
            layer are in memory at a time.
        tokens, tokenizer: As for `calibrate`.
        progress: Called with each layer that is done.

    Raises:
        RunError: The text, or its moments, do not allow a refit.
        PlanError: The calibration is of another model, or the criteria differ.

    Cost: of one width, and k^2 H operations a layer for each further width k.
    """
    if len({(each.criterion, each.seed, each.stored_dtype) for each in selections}) != 1:
        raise PlanError(
            "widths that are refitted together must be of one criterion and seed, and of one dtype"
        )
    check_text(source, tokens)
    with _dense_moments(model, source, tokens, tokenizer) as (weights, parts, halves):
        counts = [_width(weights, each).width for each in selections]
        cuts = []
        for layer in range(weights.architecture.layers):
            cuts.append(layer_cuts(weights, layer, halves(layer), selections[0], counts))
            if progress:
                progress(layer)
        return tuple(
            _refit(weights, each, [layer[i] for layer in cuts], parts, sequential=False)
            for i, each in enumerate(selections)
        )


@contextmanager
def _dense_moments(
    model: str | Path | nn.Module, source: Calibration | TextSource, tokens: int, tokenizer: Any
) -> Iterator[tuple[Weights, tuple[CalibrationSource, ...], Callable[[int], FitAndHoldout]]]:
    """Weights, calibration text, and the moments of a layer, to be asked for in turn."""
    if isinstance(source, Calibration):
        with open_weights(model) as weights:
            check_calibration(source, weights)
            check_tokens(source.parts, weights.architecture.intermediate_size)
            yield weights, source.parts, source.layers.__getitem__
        return
    with load_for_calibration(model) as (module, weights):
        read = as_text(source, tokens, tokenizer, module)
        parts = (source_of(read),)
        check_tokens(parts, weights.architecture.intermediate_size)
        with LayerwiseRunner(module, read) as walk:
            yield weights, parts, partial(walk.moments, advance=True)


def plan_by_moments(
    model: str | Path | nn.Module,
    selection: PruneSpec,
    source: Calibration | TextSource,
    tokens: int,
    progress: LayerCallback | None = None,
) -> Plan:
    """The plan alone, of any criterion, by the moments of the dense model.

    Args:
        source: A calibration, or text to run the model on, the moments of one layer at a time.
        progress: Called with each layer that is done.

    Raises: as `refits`.
    """
    check_text(source, tokens)
    if isinstance(source, Calibration):
        with open_weights(model) as weights:
            check_calibration(source, weights)
            return _planned(weights, selection, source.layers.__getitem__, progress)
    with load_for_calibration(model) as (module, weights):
        _width(weights, selection)
        with LayerwiseRunner(module, as_text(source, tokens, None, module)) as walk:
            return _planned(weights, selection, partial(walk.moments, advance=True), progress)


def _planned(
    weights: Weights,
    selection: PruneSpec,
    halves: Callable[[int], FitAndHoldout],
    progress: LayerCallback | None,
) -> Plan:
    width, keep = _width(weights, selection), []
    for layer in range(weights.architecture.layers):
        moment = halves(layer).fit.mean(weights.architecture.block(layer))
        weight = down_rows(weights, layer).T.to(moment)
        order = neuron_order(weights, layer, selection, moment, weight)
        keep.append(tuple(sorted(order[: width.width].tolist())))
        if progress:
            progress(layer)
    return plan_of(weights, width, selection, tuple(keep), fingerprint(weights))


def check_calibration(calibration: Calibration, weights: Weights) -> None:
    """Raise PlanError unless the calibration was made for these weights."""
    if calibration.model != fingerprint(weights):
        raise PlanError(
            f"the calibration was made for a model whose GLU weights are not those of "
            f"{weights.name}"
        )


def check_tokens(parts: Sequence[CalibrationSource], neurons: int) -> None:
    """Raise RunError unless each half of a text has as many tokens as a layer has neurons."""
    fit, held_out = (
        sum(getattr(p, half) for p in parts) for half in ("fit_tokens", "held_out_tokens")
    )
    if min(fit, held_out) < neurons:
        raise RunError(
            f"a refit needs at least as many tokens as neurons in each half of its text, here "
            f"{neurons:,}; got {fit:,} and {held_out:,}: "
            f"calibrate on at least {2 * neurons:,} tokens"
        )


def _checked_widths(widths: Sequence[int] | None, weights: Weights) -> tuple[int, ...] | None:
    layers, neurons = weights.architecture.layers, weights.architecture.intermediate_size
    if widths is None:
        return None
    fits = all(type(width) is int and 0 < width <= neurons for width in widths)
    if len(widths) != layers or not fits:
        raise PlanError(f"widths must be {layers} numbers of neurons, 1 to {neurons} each")
    return tuple(widths)


def _width(weights: Weights, selection: PruneSpec) -> Width:
    return resolve(
        weights.architecture,
        selection.target,
        align=selection.align,
        paper_widths=selection.paper_widths,
        dtype=selection.stored_dtype,
    )


def _refit(
    weights: Weights,
    selection: PruneSpec,
    cuts: Sequence[LayerCut],
    parts: tuple[CalibrationSource, ...],
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
