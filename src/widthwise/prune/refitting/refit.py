"""`refit` and `refits`: widths whose down_proj makes up, by least squares, for what was removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from ...arch import Architecture
from ...cut import CalibrationSource, Plan, Refit, Weights, fingerprint
from ...errors import PlanError, RunError
from ...runs import MakeEngine
from ..calibration.layerwise import LayerwiseRunner
from ..calibration.moments import FitAndHoldout
from ..calibration.second_moments import Calibration, LayerCallback, each_layer
from ..calibration.split_runner import runner_of
from ..calibration.text import (
    TOKENS,
    TextOptions,
    TextRequest,
    TextSource,
    least_tokens,
)
from ..calibration.text_mix import is_named
from ..opened_model import OpenedModel, open_model
from ..selection import plan_of
from ..spec import PruneOptions, PruneSpec, spec_of
from .finished_layers import FinishedLayers
from .finished_steps import FinishedSteps
from .layer_fit import GroupCut, group_cuts, neuron_order, temporarily_cut
from .loss_meter import LossMeter
from .scale_tuner import scaled

if TYPE_CHECKING:
    from ..opened_model import Model


MomentsOfGroups = Iterable[tuple[int, FitAndHoldout]]


class RefitOptions(PruneOptions, TextOptions, total=False):
    """Keyword arguments that stand for a `PruneSpec` and a `TextRequest`."""


def refit(
    model: Model,
    spec: PruneSpec | None = None,
    *,
    sequential: bool = True,
    widths: Sequence[int] | None = None,
    scales: bool = True,
    work: Path | None = None,
    engine: MakeEngine | None = None,
    progress: LayerCallback | None = None,
    **asked: Unpack[RefitOptions],
) -> Refit:
    """Choose neurons and refit down_proj layer after layer, each behind those already cut.

    So every layer is fitted to the inputs that it will see in the narrow model. Each width takes
    a pass of its own; for many widths from one pass over the dense model, see `calibrate` and
    `refits`.

    Args:
        model: As for `make_plan`. From disk it is loaded; in memory it is unchanged after it.
        spec: The width and the criterion, any of them: the refit is made for whatever stays.
        sequential: False refits every layer on the activations of the dense model, in one pass.
        widths: Neurons to keep in each layer, in place of as many in all of them.
        scales: Whether rows of the weights are scaled afterwards, so that the answers of all of the
            cut come nearer to those of the dense model, if it predicts a next token.
        work: Folder for layers that are done, which must be there, and be used for nothing else: a
            refit that was ended goes on after the layer that it had reached, and the new weights of
            down_proj are not kept in memory. It must stay as long as the result is used.
        engine: Workers among which the text is divided, of a model on disk, as in
            `partial(widthwise.runs.Processes, devices=["cuda:0", "cuda:1"])`, or `RayExecutor`;
            None for one for each CUDA device of this machine, or for this process where there are
            not several. The result is the same, however many there are.
        progress: Function that is called with each layer that is done.
        **asked: In place of `spec`, what `PruneOptions` name; and the text, as `TextOptions` name
            it.

    Raises:
        RunError: The text is too short, or the numbers do not allow a refit.
        TargetError, PlanError, CheckpointError, UnsupportedModelError: as their messages say.

    Cost: two forward passes and the moments, 1.3 I^2 multiplications and additions a layer and
    token; I^3 operations a layer. Memory: of a model on disk its embeddings and one layer, the
    hidden states of the text, and what a layer's refit takes (docs/calibrated.md).
    """
    text = TextRequest.of(asked)
    spec = spec_of(spec, asked, function=refit, options=RefitOptions)
    with open_model(model) as opened:
        weights = opened.weights
        uniform = spec.width(weights.architecture)  # an impossible width is refused before any work
        counts = _checked_widths(widths, weights) or weights.architecture.neurons(uniform.widths)
        check_request(text, weights.architecture)
        read = text.read(opened)
        check_tokens(read.summaries, weights.architecture)
        inputs = repr((fingerprint(weights), spec, counts, sequential, read.fingerprint))
        done, cut = FinishedLayers(work, inputs), partial(_cut_groups, weights, spec, counts)
        cuts: list[GroupCut] = []
        with runner_of(opened, read, engine) as runner:
            meter = LossMeter(runner, read) if weights.architecture.is_causal else None
            for layer in each_layer(weights.architecture.layers, progress):
                cuts += _walked(runner, layer, done, cut, meter, sequential=sequential).values()
            losses = meter.losses() if meter else ()
        made = _refit(weights, spec, cuts, read.summaries, sequential=sequential)
        made = replace(made, losses=losses)
        if scales and weights.architecture.is_causal:
            return scaled(opened, read, cuts, made, FinishedSteps(work, inputs))
        return made


def _walked(
    runner: LayerwiseRunner,
    layer: int,
    done: FinishedLayers,
    cut: Callable[[dict[int, FitAndHoldout]], dict[int, GroupCut]],
    meter: LossMeter | None,
    *,
    sequential: bool,
) -> dict[int, GroupCut]:
    """The groups of the layer that comes next, cut; hidden states are behind it after that."""
    with runner.held(layer):
        made = done.cuts(layer)
        if not sequential and made is not None:
            runner.advance(layer)
        if meter:
            meter.pass_dense(layer)
        if made is None:
            made = done.add(layer, cut(runner.moments(layer, advance=not sequential)))
        with runner.changed(partial(temporarily_cut, cuts=made)):
            if meter:
                meter.pass_cut(layer)
            if sequential:
                runner.advance(layer)
    return made


def _cut_groups(
    weights: Weights, spec: PruneSpec, counts: Sequence[int], moments: dict[int, FitAndHoldout]
) -> dict[int, GroupCut]:
    """The groups of a layer, each cut to as many neurons as `counts` has for it.

    The moments are taken out, so that those of a group are gone when it is cut.
    """
    return {
        group: group_cuts(weights, group, moments.pop(group), spec, [counts[group]])[0]
        for group in sorted(moments)
    }


def refits(
    model: Model,
    specs: Sequence[PruneSpec],
    source: Calibration | TextSource = None,
    *,
    tokens: int = TOKENS,
    tokenizer: Any = None,
    engine: MakeEngine | None = None,
    progress: LayerCallback | None = None,
) -> tuple[Refit, ...]:
    """Widths of one criterion by the moments of the dense model, by one factorisation a layer.

    Args:
        model: With a calibration the one that was calibrated, whose weights are read by layers from
            disk; with text it is loaded.
        specs: Widths by one criterion, seed and stored dtype.
        source: Moments from `calibrate`; or text, as `calibrate` takes it, of which the moments of
            one layer are in memory at a time.
        tokens, tokenizer: As for `calibrate`.
        engine: Workers among which text is divided, as for `refit`.
        progress: Function that is called with each layer that is done.

    Raises:
        RunError: The text, or its moments, do not allow a refit.
        PlanError: The calibration is of another model, or the criteria differ.

    Cost: that of one width, and k^2 H operations a layer for each further width k.
    """
    if len({(each.criterion, each.seed, each.stored_dtype) for each in specs}) != 1:
        raise PlanError(
            "plans that are refitted together must have the same criterion, seed and dtype"
        )
    request = moments_request(source, tokens, tokenizer)
    with open_model(model) as opened:
        weights, architecture = opened.weights, opened.weights.architecture
        counts = [architecture.neurons(each.width(architecture).widths) for each in specs]
        if isinstance(request, TextRequest):
            check_request(request, architecture)
        cuts = []
        with _dense_moments(opened, request, engine) as (parts, of_layer):
            check_tokens(parts, architecture)
            for layer in each_layer(architecture.layers, progress):
                for group, halves in of_layer(layer):
                    widths = [each[group] for each in counts]
                    cuts.append(group_cuts(weights, group, halves, specs[0], widths))
        return tuple(
            _refit(weights, each, [group[i] for group in cuts], parts, sequential=False)
            for i, each in enumerate(specs)
        )


def moments_request(
    source: Calibration | TextSource, tokens: int = TOKENS, tokenizer: Any = None
) -> Calibration | TextRequest:
    """What moments are to come from; text that is not there is refused.

    Raises:
        RunError: As `TextRequest`.
    """
    if isinstance(source, Calibration):
        return source
    return TextRequest(text=source, tokens=tokens, tokenizer=tokenizer)


@contextmanager
def _dense_moments(
    model: OpenedModel, request: Calibration | TextRequest, engine: MakeEngine | None = None
) -> Iterator[tuple[tuple[CalibrationSource, ...], Callable[[int], MomentsOfGroups]]]:
    """The calibration text, and the dense model's moments, by groups, as a function of a layer.

    Those of a file are read one after the other.

    Of text, the function is to be called with one layer after the other.
    """
    if isinstance(request, Calibration):
        request.check(model.weights)
        groups = model.weights.architecture.groups
        yield (
            request.parts,
            lambda layer: (
                (index, request.groups[index])
                for index, group in enumerate(groups)
                if group.layer == layer
            ),
        )
        return
    text = request.read(model)
    with runner_of(model, text, engine) as runner:
        yield text.summaries, lambda layer: runner.moments(layer, advance=True).items()


def plan_by_moments(
    model: OpenedModel,
    spec: PruneSpec,
    request: Calibration | TextRequest,
    progress: LayerCallback | None = None,
) -> Plan:
    """The plan alone, of any criterion, by the moments of the dense model.

    Raises: as `refits`.
    """
    weights = model.weights
    width, keep = spec.width(weights.architecture), []
    counts = weights.architecture.neurons(width.widths)
    with _dense_moments(model, request) as (_, of_layer):
        for layer in each_layer(weights.architecture.layers, progress):
            for group, halves in of_layer(layer):
                order = neuron_order(weights, group, spec, halves.fit)
                keep.append(tuple(sorted(order[: counts[group]].tolist())))
    return plan_of(weights, width, spec, tuple(keep), fingerprint(weights))


def check_request(request: TextRequest, architecture: Architecture) -> None:
    """Raise RunError where so many tokens are too few for a refit, before the model is loaded."""
    least = least_tokens_of(architecture)
    if is_named(request.text) and request.tokens < least:
        raise RunError(
            f"{_need(architecture)}; --tokens {request.tokens} is too few: calibrate on at least "
            f"{least:,} tokens"
        )


def check_tokens(parts: Sequence[CalibrationSource], architecture: Architecture) -> None:
    """Raise RunError unless each half of a text has as many tokens as a layer has neurons."""
    fit, held_out = (
        sum(getattr(p, half) for p in parts) for half in ("fit_tokens", "held_out_tokens")
    )
    if min(fit, held_out) < max(architecture.neurons()):
        raise RunError(
            f"{_need(architecture)}; got {fit:,} and {held_out:,}: calibrate on at least "
            f"{least_tokens_of(architecture):,} tokens"
        )


def _need(architecture: Architecture) -> str:
    """What a refit needs of a text, in words."""
    shared = ", which encoder and decoder share" if len(architecture.stacks) > 1 else ""
    return (
        f"each half of the text{shared} needs at least as many tokens as a layer has neurons, "
        f"{max(architecture.neurons()):,}"
    )


def least_tokens_of(architecture: Architecture) -> int:
    """Tokens that a refit needs: each half, in whole blocks, has as many as a layer has neurons.

    A text is divided among the stacks of layers, each of which needs as many.
    """
    return least_tokens(max(architecture.neurons()) * len(architecture.stacks))


def _checked_widths(widths: Sequence[int] | None, weights: Weights) -> tuple[int, ...] | None:
    layers, neurons = weights.architecture.layers, weights.architecture.intermediate_size
    if widths is None:
        return None
    weights.architecture.refuse_unless_uniform("a width for each layer (widths)")
    fits = all(type(width) is int and 0 < width <= neurons for width in widths)
    if len(widths) != layers or not fits:
        raise PlanError(f"widths must be {layers} numbers of neurons, 1 to {neurons} each")
    return tuple(widths)


def _refit(
    weights: Weights,
    spec: PruneSpec,
    cuts: Sequence[GroupCut],
    parts: tuple[CalibrationSource, ...],
    *,
    sequential: bool,
) -> Refit:
    width, keep = spec.width(weights.architecture), tuple(cut.keep for cut in cuts)
    return Refit(
        plan=plan_of(weights, width, spec, keep, fingerprint(weights)),
        down=tuple(cut.down for cut in cuts),
        layers=tuple(cut.fit for cut in cuts),
        parts=parts,
        sequential=sequential,
    )
