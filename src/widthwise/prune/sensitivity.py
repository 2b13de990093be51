"""`per_layer`: widths by layers, from what the model's answers lose when one layer alone is cut."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import numpy as np

from ..arch import Architecture
from ..cut import Weights
from ..errors import PlanError, RunError, UnsupportedModelError
from .calibration.answers import JUDGED_TOKENS, READ_TOKENS, divergence_sum, log_ratios
from .calibration.layerwise import LayerwiseRunner
from .calibration.moments import FitAndHoldout
from .calibration.second_moments import LayerCallback, each_layer
from .calibration.text import TextRequest
from .knapsack import allocate, candidate_widths
from .opened_model import open_model
from .refitting.layer_fit import group_cuts, temporarily_cut
from .refitting.refit import RefitOptions, check_request, check_tokens
from .spec import PruneOptions, PruneSpec, spec_of

if TYPE_CHECKING:
    from torch import Tensor

    from .opened_model import Model

MEASURED_WIDTHS = 3  # of a layer, in addition to the dense one


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """Widths by layers that cost no more than one width for all.

    Losses are mean KL divergences of the next token, dense from cut, in nats, of one cut layer in
    an otherwise dense model. Their sum over layers ranks allocations; what a model loses that is
    cut everywhere is another number, and more.

    Attributes:
        widths: Neurons of each layer; what `refit` takes.
        uniform: The width of all layers that the target asks for.
        loss: Sum of the losses at `widths`.
        uniform_loss: The same at `uniform`; `loss` is never above it.
        cost: Sum over layers of the cost of a GLU block, in `unit`.
        budget: The cost at `uniform`.
        unit: `"parameters"`, or `"cost"` where costs were given.
        measured: For each layer, the widths that were measured and their losses, ascending.
        tokens: Held-out tokens that these are means of.
    """

    widths: tuple[int, ...]
    uniform: int
    loss: float
    uniform_loss: float
    cost: int
    budget: int
    unit: str
    measured: tuple[tuple[tuple[int, float], ...], ...] = field(repr=False)
    tokens: int

    def __str__(self) -> str:
        lines = [
            f"layer {layer:>3}  width {width:>6}  " + "  ".join(f"{k}: {v:.4f}" for k, v in points)
            for layer, (width, points) in enumerate(zip(self.widths, self.measured, strict=True))
        ]
        return "\n".join(
            [
                f"widths by layers, from the KL divergence (nats a token, of {self.tokens:,} "
                "held-out tokens) of each layer cut alone:",
                *lines,
                f"sum over layers {self.loss:.4f}, at width {self.uniform} everywhere "
                f"{self.uniform_loss:.4f}; {self.cost:,} {self.unit} of GLU blocks, "
                f"at most {self.budget:,}",
            ]
        )


def per_layer(
    model: Model,
    spec: PruneSpec | None = None,
    *,
    costs: Mapping[int, int] | None = None,
    progress: LayerCallback | None = None,
    **asked: Unpack[RefitOptions],
) -> Allocation:
    """Measure what each layer's neurons are worth, and share the target's neurons out by it.

    Each layer alone is cut to three widths and refitted on the moments of the dense model; the loss
    is the mean KL divergence of its answers on held-out tokens. Between the measured widths it
    follows the layer's reconstruction error. An exact dynamic programme then takes the least sum of
    losses that costs at most what one width for all layers would.

        found = per_layer("smollm2", to="2.1x")
        done = refit("smollm2", to="2.1x", widths=found.widths)

    Args:
        model: As for `refit`.
        spec: The width that is shared out, and the criterion.
        costs: Cost of one GLU block at some widths, whole numbers (such as nanoseconds), the first
            and the last of `allowed_widths` among them; linear between. None for its parameters.
        progress: Function that is called with each layer that is measured.
        **asked: In place of `spec`, what `PruneOptions` name; and the text: as for `refit`.

    Raises:
        PlanError: Costs are not of enough widths.
        RunError, TargetError, CheckpointError, UnsupportedModelError: as for `refit`.

    Cost: as a refit in one pass; and for each layer and each of three widths, 4,096 held-out tokens
    through the layers from there on (so 3/2 forward passes a layer), and logits of 2,048 of them.
    Memory beyond that of a refit: 0.3 GB for logits, whatever the vocabulary.
    """
    text = TextRequest.of(asked)
    spec = spec_of(spec, asked, function=per_layer, options=RefitOptions)
    if costs is not None and spec.target.kind in ("params", "size"):
        raise PlanError(
            "costs cannot be combined with params or size, which are costs themselves; ask for "
            "the width in another way"
        )
    with open_model(model) as opened:
        architecture = opened.weights.architecture
        check_layers(architecture)
        uniform, allowed = spec.width(architecture), _allowed(architecture, spec)
        prices = _prices(architecture, allowed, costs)
        check_request(text, architecture)
        read = text.read(opened)
        check_tokens(read.summaries, architecture)
        with LayerwiseRunner.of(opened, read) as runner:
            meter = KlMeter(runner)
            curves = []
            for layer in each_layer(architecture.layers, progress):
                meter.hold()
                halves = runner.moments(layer, advance=True)[layer]
                curves.append(_measured(opened.weights, spec, layer, halves, allowed, meter))
    unit = "parameters" if costs is None else "cost"
    return _allocation(uniform.width, allowed, prices, curves, unit=unit, tokens=meter.tokens)


def check_layers(architecture: Architecture) -> None:
    """Raise UnsupportedModelError where the layers of a model cannot have a width each."""
    architecture.refuse_unless_uniform("a width for each layer (--per-layer)")
    if not architecture.is_causal:
        raise UnsupportedModelError(
            "a width for each layer (--per-layer) is chosen by what a cut does to the "
            f"probabilities of next words, which {architecture.model_type}, an encoder, does "
            "not give; prune it to one width"
        )


def _allocation(
    uniform: int,
    allowed: Sequence[int],
    prices: Sequence[tuple[int, ...]],
    curves: Sequence[LossCurve],
    *,
    unit: str,
    tokens: int,
) -> Allocation:
    """Widths by layers of the least sum of losses, for at most what a uniform width costs."""
    at, losses = bisect_left(allowed, uniform), [curve.losses for curve in curves]
    budget = sum(price[at] for price in prices)
    chosen = allocate(losses, prices, budget)
    return Allocation(
        widths=tuple(allowed[level] for level in chosen),
        uniform=uniform,
        loss=sum(loss[level] for loss, level in zip(losses, chosen, strict=True)),
        uniform_loss=sum(loss[at] for loss in losses),
        cost=sum(price[level] for price, level in zip(prices, chosen, strict=True)),
        budget=budget,
        unit=unit,
        measured=tuple(curve.points for curve in curves),
        tokens=tokens,
    )


def allowed_widths(
    model: Model, spec: PruneSpec | None = None, **asked: Unpack[PruneOptions]
) -> tuple[int, ...]:
    """Widths that `per_layer` may give a layer, ascending, the dense one last. Reads no weights.

    Arguments and errors: as `make_plan`.
    """
    spec = spec_of(spec, asked, function=allowed_widths)
    with open_model(model) as opened:
        return _allowed(opened.weights.architecture, spec)


def _allowed(architecture: Architecture, spec: PruneSpec) -> tuple[int, ...]:
    width = spec.width(architecture)
    return candidate_widths(architecture.intermediate_size, width.alignment, width.width)


@dataclass(frozen=True, kw_only=True)
class LossCurve:
    """One layer's losses: the measured points, and at every allowed width."""

    points: tuple[tuple[int, float], ...]
    losses: tuple[float, ...]


class KlMeter:
    """Compares what a model with one cut layer answers with what the dense model does."""

    def __init__(self, runner: LayerwiseRunner) -> None:
        self.runner = runner
        self.hold()
        self._dense = self.final_states(0)
        self.tokens = len(self._dense)

    def hold(self) -> None:
        """Keep the hidden states as they are now: before the layer that is cut next."""
        self._held = self.runner.held_out_states(READ_TOKENS)

    def final_states(self, layer: int) -> Tensor:
        """Final hidden states from those that are kept, with the layer as it is now."""
        rows = self.runner.final_states(layer, self._held)
        return rows[:: max(1, len(rows) // JUDGED_TOKENS)]

    def divergences(self, cuts: Sequence[Tensor]) -> list[float]:
        """Mean KL divergence of each from dense, in nats, from final hidden states."""
        totals = [0.0] * len(cuts)
        for _, i, own, ratio in log_ratios(self.runner, self._dense, cuts):
            totals[i] += divergence_sum(own, ratio)
        if not all(map(math.isfinite, totals)):
            raise RunError("the logits of the model are not finite on its calibration text")
        return [max(total / self.tokens, 0.0) for total in totals]  # below 0 only by rounding


def _measured(
    weights: Weights,
    spec: PruneSpec,
    layer: int,
    halves: FitAndHoldout,
    allowed: Sequence[int],
    meter: KlMeter,
) -> LossCurve:
    """Cut one layer alone, and follow its error between the widths that were measured."""
    size = weights.architecture.intermediate_size
    widths = measured_widths(allowed)
    states: list[Tensor] = []
    curve: tuple[float, ...] = ()
    architecture = meter.runner.weights.architecture
    for cut in group_cuts(weights, layer, halves, spec, widths):
        with (
            meter.runner.held(layer),
            temporarily_cut(meter.runner.module, architecture, {layer: cut}),
        ):
            states.append(meter.final_states(layer))
        curve = cut.fit.curve
    points = (*zip(widths, meter.divergences(states), strict=True), (size, 0.0))
    return LossCurve(points=points, losses=losses_between(points, curve, allowed))


def measured_widths(allowed: Sequence[int]) -> tuple[int, ...]:
    """Those to measure: the narrowest allowed one, and others evenly spread below the dense one.

    >>> measured_widths((384, 512, 640, 768, 896, 1024, 1152, 1280, 1408, 1536))
    (384, 768, 1152)
    """
    least, size = allowed[0], allowed[-1]
    wanted = (least + (size - least) * i / MEASURED_WIDTHS for i in range(MEASURED_WIDTHS))
    below = allowed[:-1]
    return tuple(sorted({min(below, key=lambda w: abs(w - want)) for want in wanted}))


def losses_between(
    points: Sequence[tuple[int, float]], curve: Sequence[float], allowed: Sequence[int]
) -> tuple[float, ...]:
    """The loss at every allowed width, never rising with it, 0 at the dense one.

    To second order a loss is proportional to the squared error that a cut makes, so it is taken as
    linear in the layer's reconstruction error between two measured widths. A width that was
    measured to lose less than a wider one is given the loss of that one.

    Args:
        points: Widths and their losses, ascending, the last one dense.
        curve: Reconstruction error at every width from 0 on, falling: `LayerFit.curve`.
        allowed: Widths from the narrowest point to the dense one.
    """
    errors = [curve[width] for width, _ in reversed(points)]
    losses = np.maximum.accumulate([loss for _, loss in reversed(points)])
    kept = [i for i, error in enumerate(errors) if i + 1 == len(errors) or error < errors[i + 1]]
    values = np.interp(
        [curve[width] for width in allowed], [errors[i] for i in kept], [losses[i] for i in kept]
    )
    values[-1] = 0.0
    return tuple(values.tolist())


def _prices(
    architecture: Architecture, allowed: Sequence[int], costs: Mapping[int, int] | None
) -> list[tuple[int, ...]]:
    """Cost of each layer's block at every allowed width."""
    if costs is None:
        each = [0] * architecture.layers
        for name, cut in architecture.cuts.items():
            spec = architecture.tensors[name]
            each[cut.group] += cut.parts * spec.numel // spec.shape[cut.axis]
        return [tuple(cost * width for width in allowed) for cost in each]
    if not all(type(number) is int and number >= 0 for pair in costs.items() for number in pair):
        raise PlanError("costs must be whole numbers from 0 on, for whole numbers of neurons")
    known = sorted(costs)
    if not known or known[0] > allowed[0] or known[-1] < allowed[-1]:
        raise PlanError(
            f"costs must cover the widths from {allowed[0]} to {allowed[-1]}; got {known or 'none'}"
        )
    values = np.interp(allowed, known, [float(costs[width]) for width in known])
    return [tuple(round(cost) for cost in values.tolist())] * architecture.layers
