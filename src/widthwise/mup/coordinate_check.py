"""The coordinate check: whether outputs of layers change as much at every width.

muP is the parametrization in which the output of every layer moves by Theta(1) in a step: its
change over widths has the slope 0. With a slope above 0 training blows up with the width, with one
below 0 a layer stops learning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import LimitError
from ..theory import MARGIN, Array, PowerLawFit, check_widths, fit_rate
from .shapes import named_modules

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSetup:
    """A network about to be trained.

    Attributes:
        model: Network without dropout or other randomness.
        optimizer: Optimizer of its parameters.
        loss: Function that runs the model, always on the same examples, and returns the loss.
    """

    model: nn.Module
    optimizer: Optimizer
    loss: Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class CoordinateCheck:
    """Changes of each layer's output as powers of the width.

    Attributes:
        layers: Names of modules, in the order in which they ran.
        steps: Steps of training before the changes.
        changes: Root mean square change of each layer's output since before training.
        margin: Largest distance from 0 of a slope that passes.
    """

    layers: tuple[str, ...]
    steps: int
    changes: tuple[PowerLawFit, ...]
    margin: float

    @property
    def confidence(self) -> float:
        """Confidence of one layer's interval, so that all together hold with 95 % (Bonferroni)."""
        return 1 - 0.05 / len(self.layers)

    def interval(self, layer: int) -> tuple[float, float]:
        """Interval of a layer's slope; all layers' intervals together hold with 95 %."""
        return self.changes[layer].slope.interval(self.confidence)

    def verdict(self, layer: int) -> Verdict:
        """`pass` where the interval is within the margin, `fail` where all of it is beyond."""
        low, high = self.interval(layer)
        if -self.margin <= low and high <= self.margin:
            return "pass"
        return "fail" if low > self.margin or high < -self.margin else "undecided"

    @property
    def overall_verdict(self) -> Verdict:
        """`pass` where every layer passes, `fail` where any fails."""
        verdicts = {self.verdict(layer) for layer in range(len(self.layers))}
        order: tuple[Verdict, ...] = ("fail", "undecided", "pass")
        return next(verdict for verdict in order if verdict in verdicts)


def coordinate_check(
    start: Callable[[int, int], TrainingSetup],
    *,
    widths: Sequence[int],
    seeds: int,
    steps: int = 3,
    seed: int = 0,
    margin: float = MARGIN,
    progress: Callable[[float], None] = lambda _: None,
) -> CoordinateCheck:
    """Train a few steps at several widths, and fit the changes of each layer's output.

    Layers are the modules that have parameters themselves and return one tensor. Every network has
    a different seed.

    Args:
        start: Function from a width and a seed to a network.
        widths: At least two widths, ascending.
        seeds: Networks at each width, at least two, with consecutive seeds from `seed` on.
        steps: Steps of training, at least 1.
        progress: Called with the share of networks that are trained, 0 to 1.

    Raises:
        LimitError: There are too few widths, seeds or steps, networks differ in their layers, a
            layer does not move, or its output is not finite.

    Cost: steps + 1 passes of every network, and all outputs of one network twice in memory.
    """
    check_widths(widths, seeds)
    if steps < 1 or not 0 < margin < np.inf:
        raise LimitError(
            f"steps must be at least 1 and the margin above 0; got {steps} and {margin}"
        )
    layers: list[str] = []
    changes: dict[str, Array] = {}
    for i, width in enumerate(widths):
        for j in range(seeds):
            sizes = _train(start(width, seed + i * seeds + j), steps, width)
            if not layers:
                layers = list(sizes)
                changes = {layer: np.empty((len(widths), seeds)) for layer in layers}
            if different := set(sizes) ^ set(layers):
                raise LimitError(
                    f"networks must have the same layers; {min(different)} is not in all"
                )
            for layer, size in sizes.items():
                changes[layer][i, j] = size
            progress((i * seeds + j + 1) / (len(widths) * seeds))
    return CoordinateCheck(
        layers=tuple(layers),
        steps=steps,
        changes=tuple(fit_rate(widths, changes[layer]) for layer in layers),
        margin=margin,
    )


def _train(start: TrainingSetup, steps: int, width: int) -> dict[str, float]:
    """Root mean square change of each layer's output after the last step."""
    with _recorded_outputs(start.model) as outputs:
        start.loss().backward()  # type: ignore[no-untyped-call]
        before = dict(outputs)
        for step in range(1, steps + 1):
            start.optimizer.step()
            start.optimizer.zero_grad()
            loss = start.loss()
            if step < steps:
                loss.backward()  # type: ignore[no-untyped-call]
        changes = {}
        for layer, output in outputs.items():
            change = float((output - before[layer]).double().square().mean().sqrt())
            if not np.isfinite(change):
                raise LimitError(
                    f"what {layer} computes must stay finite; at width {width} it did not for "
                    f"{steps} steps: take a lower learning rate"
                )
            if change == 0:
                raise LimitError(
                    f"every layer must move for its slope to be fitted; at width {width} the "
                    f"output of {layer} did not in {steps} steps: take more steps or a higher "
                    "learning rate"
                )
            changes[layer] = change
    return changes


@contextmanager
def _recorded_outputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The latest output of every layer, as the model runs."""
    import torch

    outputs: dict[str, Tensor] = {}

    def record(path: str, _: nn.Module, __: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            outputs[path] = output.detach().clone()

    with ExitStack() as hooks:
        for path, module in named_modules(model).items():
            if next(module.parameters(recurse=False), None) is not None:
                hooks.enter_context(module.register_forward_hook(partial(record, path)))
        yield outputs
