"""The coordinate check: whether outputs of layers are as large, and change as much, at all widths.

muP is the parametrization in which the output of every layer moves by Theta(1) in a step: its
change over widths has the slope 0. With a slope above 0 training blows up with the width, with one
below 0 a layer stops learning. At the start outputs that get wider with the network are Theta(1)
too, and others, as the head's and the logits of attention, do not grow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from ..errors import LimitError
from ..theory import MARGIN, Array, PowerLawFit, check_widths, fit_rate
from .recorded import recorded_outputs

if TYPE_CHECKING:
    from torch import Tensor, nn

Axis = Literal["width", "depth"]
Verdict = Literal["pass", "fail", "undecided"]


class Stepper(Protocol):
    """What is used of an optimizer of torch."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    def step(self) -> object: ...

    def zero_grad(self) -> None: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSetup:
    """A network about to be trained.

    Attributes:
        model: Network without dropout or other randomness.
        optimizer: Optimizer of its parameters.
        loss: Function that runs the model, always on the same examples, and returns the loss.
        absorbed: Multipliers within parameters, by name (`Parametrization.absorbed`), which the
            outputs of their modules are divided by.
        shown: Name under which a layer is compared with those of other networks; None where it has
            no like.
    """

    model: nn.Module
    optimizer: Stepper
    loss: Callable[[], Tensor]
    absorbed: Mapping[str, float] = field(default_factory=dict)
    shown: Callable[[str], str | None] = str


@dataclass(frozen=True, kw_only=True, eq=False)
class CoordinateCheck:
    """Sizes of each layer's output before training, and its changes, as powers of the width.

    Attributes:
        layers: Names of modules in the order in which they ran; those of logits end in `(logits)`.
        steps: Steps of training before the changes.
        changes: Root mean square change of each layer's output since before training.
        margin: Largest distance from 0 of a slope that passes.
        starts: Root mean square of each layer's output before training; None for outputs of 0, as
            of heads that start at 0. Empty where it was not looked at.
        widening: Whether each layer's output gets wider with the network.
        axis: What grows: `width`, or `depth`, the number of layers.
    """

    layers: tuple[str, ...]
    steps: int
    changes: tuple[PowerLawFit, ...]
    margin: float
    starts: tuple[PowerLawFit | None, ...] = ()
    widening: tuple[bool, ...] = ()
    axis: Axis = "width"

    @property
    def letter(self) -> str:
        """What tables call the size that grows."""
        return "n" if self.axis == "width" else "L"

    @property
    def confidence(self) -> float:
        """Confidence of one slope's interval, so that all together hold with 95 % (Bonferroni)."""
        return 1 - 0.05 / (len(self.layers) + sum(start is not None for start in self.starts))

    def interval(self, layer: int) -> tuple[float, float]:
        """Interval of the slope of a layer's change; all intervals together hold with 95 %."""
        return self.changes[layer].slope.interval(self.confidence)

    def start_interval(self, layer: int) -> tuple[float, float] | None:
        """Interval of the slope of a layer's size before training; None where there is none."""
        start = self.starts[layer] if self.starts else None
        return None if start is None else start.slope.interval(self.confidence)

    def verdict(self, layer: int) -> Verdict:
        """`pass` where the interval is within the margin, `fail` where all of it is beyond."""
        return self._verdict(self.interval(layer), may_shrink=False)

    def start_verdict(self, layer: int) -> Verdict | None:
        """The same of sizes before training; outputs that do not get wider may shrink."""
        interval = self.start_interval(layer)
        if interval is None:
            return None
        return self._verdict(interval, may_shrink=not self.widening[layer])

    @property
    def overall_verdict(self) -> Verdict:
        """`pass` where every layer passes, `fail` where any fails."""
        places = range(len(self.layers))
        verdicts = {
            verdict(place) for verdict in (self.verdict, self.start_verdict) for place in places
        }
        order: tuple[Verdict, ...] = ("fail", "undecided", "pass")
        return next(verdict for verdict in order if verdict in verdicts)

    def _verdict(self, interval: tuple[float, float], *, may_shrink: bool) -> Verdict:
        low, high = interval
        if high <= self.margin and (may_shrink or -self.margin <= low):
            return "pass"
        return "fail" if low > self.margin or high < -self.margin else "undecided"


def coordinate_check(
    start: Callable[[int, int], TrainingSetup],
    *,
    widths: Sequence[int],
    seeds: int,
    steps: int = 3,
    seed: int = 0,
    axis: Axis = "width",
    progress: Callable[[float], None] = lambda _: None,
) -> CoordinateCheck:
    """Train a few steps at several widths, and fit the sizes and changes of each layer's output.

    Layers are the modules that have parameters themselves and return one tensor, members of lists
    that do, whose outputs are the residual stream, and what every softmax is given: the logits of
    attention. Every network has a different seed.

    Args:
        start: Function from a width and a seed to a network.
        widths: At least two widths, ascending.
        seeds: Networks at each width, at least two, with consecutive seeds from `seed` on.
        steps: Steps of training, at least 1.
        axis: What grows: with `depth`, numbers of layers are given as widths.
        progress: Called with the share of networks that are trained, 0 to 1.

    Raises:
        LimitError: There are too few widths, seeds or steps, networks differ in their layers, a
            layer does not move, or its output is not finite.

    Cost: steps + 1 passes of every network, and all outputs of one network twice in memory.
    """
    check_widths(widths, seeds)
    if steps < 1:
        raise LimitError(f"steps must be at least 1; got {steps}")
    runs: list[list[dict[str, _Moved]]] = []
    for i, width in enumerate(widths):
        runs.append([])
        for j in range(seeds):
            found = _train(start(width, seed + i * seeds + j), steps, f"at {axis} {width}")
            if different := set(found) ^ set(runs[0][0] if runs[0] else found):
                raise LimitError(
                    f"networks must have the same layers; {min(different)} is not in all"
                )
            runs[-1].append(found)
            progress((i * seeds + j + 1) / (len(widths) * seeds))
    layers = tuple(runs[0][0])
    return CoordinateCheck(
        layers=layers,
        steps=steps,
        changes=tuple(fit_rate(widths, _table(runs, layer, "change")) for layer in layers),
        margin=MARGIN,
        starts=tuple(_fitted_start(widths, _table(runs, layer, "start")) for layer in layers),
        widening=tuple(runs[0][0][layer].last < runs[-1][0][layer].last for layer in layers),
        axis=axis,
    )


@dataclass(frozen=True)
class _Moved:
    """A layer's output in one training: its size before, how far it moved, its last dimension."""

    start: float
    change: float
    last: int


def _table(runs: Sequence[Sequence[dict[str, _Moved]]], layer: str, what: str) -> Array:
    """Numbers of a layer by width and seed."""
    return np.array([[getattr(moved[layer], what) for moved in row] for row in runs])


def _fitted_start(widths: Sequence[int], sizes: Array) -> PowerLawFit | None:
    return fit_rate(widths, sizes) if sizes.all() else None


def _train(start: TrainingSetup, steps: int, where: str) -> dict[str, _Moved]:
    """Sizes of each layer's output before, and its change after the last step."""
    with recorded_outputs(start.model) as outputs:
        start.loss().backward()  # type: ignore[no-untyped-call]
        before = dict(outputs)
        for step in range(1, steps + 1):
            start.optimizer.step()
            start.optimizer.zero_grad()
            loss = start.loss()
            if step < steps:
                loss.backward()  # type: ignore[no-untyped-call]
        within = {name.rpartition(".")[0]: by for name, by in start.absorbed.items()}
        when = f"{where} in {steps} steps"
        return {
            shown: _moved(layer, before[layer], output, when, within.get(layer, 1.0))
            for layer, output in outputs.items()
            if (shown := start.shown(layer)) is not None
        }


def _moved(layer: str, before: Tensor, after: Tensor, when: str, within: float) -> _Moved:
    both = before, after - before
    size, change = (float(each.double().square().mean().sqrt()) / within for each in both)
    if not np.isfinite(change):
        raise LimitError(
            f"what {layer} computes must stay finite; {when} it did not: take a lower learning rate"
        )
    if change == 0:
        raise LimitError(
            f"every layer must move for its slope to be fitted; {when} the output of {layer} did "
            "not: take more steps or a higher learning rate"
        )
    is_vector = after.ndim == 1  # as logits are, whose number goes by the tokens
    return _Moved(size, change, 1 if is_vector else after.shape[-1])
