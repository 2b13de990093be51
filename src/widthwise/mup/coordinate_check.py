"""The coordinate check: whether what layers compute moves as far at every width.

muP is the parametrization in which the output of every layer moves by Theta(1) in a step: its size
over widths has the slope 0. A slope above 0 means that training blows up with the width, one below
that a layer stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
        model: Without dropout or anything else that draws.
        optimizer: Of its parameters.
        loss: Runs the model once, always on the same examples, and returns the loss.
    """

    model: nn.Module
    optimizer: Optimizer
    loss: Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class CoordinateCheck:
    """How far the output of each layer moved, and how that goes with the width.

    Attributes:
        layers: Names of modules, in the order in which they ran.
        steps: Steps of training after which it was seen.
        changes: Root mean square change of each layer's output since before training.
        margin: Slopes up to this far from 0 are taken for 0.
    """

    layers: tuple[str, ...]
    steps: int
    changes: tuple[PowerLawFit, ...]
    margin: float

    @property
    def confidence(self) -> float:
        """Of one layer's interval, such that all together hold with 95 % (Bonferroni)."""
        return 1 - 0.05 / len(self.layers)

    def interval(self, layer: int) -> tuple[float, float]:
        """Of a layer's slope; all layers' intervals together hold with 95 %."""
        return self.changes[layer].slope.interval(self.confidence)

    def verdict(self, layer: int) -> Verdict:
        """`pass` where the interval is within the margin, `fail` where all of it is beyond."""
        low, high = self.interval(layer)
        if -self.margin <= low and high <= self.margin:
            return "pass"
        return "fail" if low > self.margin or high < -self.margin else "undecided"

    @property
    def overall_verdict(self) -> Verdict:
        """Of the network: `pass` where every layer does, `fail` where one fails."""
        found = {self.verdict(layer) for layer in range(len(self.layers))}
        return "fail" if "fail" in found else "undecided" if "undecided" in found else "pass"


def coordinate_check(
    start: Callable[[int, int], TrainingSetup],
    *,
    widths: Sequence[int],
    seeds: int,
    steps: int = 3,
    seed: int = 0,
    margin: float = MARGIN,
) -> CoordinateCheck:
    """Train a few steps at several widths, and fit how far each layer moved.

    Layers are the modules that have parameters of their own and return one tensor. Every network
    is drawn by a seed of its own.

    Args:
        start: Makes a network of a width, by a seed.
        widths: At least two, ascending.
        seeds: Networks at each width, at least two.
        steps: Of training, at least 1.
        seed: The first.
        margin: See `CoordinateCheck`.

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
    found: dict[str, Array] = {}
    for place, width in enumerate(widths):
        for turn in range(seeds):
            moved = _train(start(width, seed + place * seeds + turn), steps, width)
            if not layers:
                layers = list(moved)
                found = {layer: np.empty((len(widths), seeds)) for layer in layers}
            if set(moved) != set(layers):
                odd = min(set(moved) ^ set(layers))
                raise LimitError(f"networks must have the same layers; {odd} is not in all")
            for layer, size in moved.items():
                found[layer][place, turn] = size
    return CoordinateCheck(
        layers=tuple(layers),
        steps=steps,
        changes=tuple(fit_rate(widths, found[layer]) for layer in layers),
        margin=margin,
    )


def _train(start: TrainingSetup, steps: int, width: int) -> dict[str, float]:
    """How far every layer has moved after the last step."""
    with _recorded_outputs(start.model) as outputs:
        start.loss().backward()  # type: ignore[no-untyped-call]
        before = dict(outputs)
        for step in range(1, steps + 1):
            start.optimizer.step()
            start.optimizer.zero_grad()
            loss = start.loss()
            if step < steps:
                loss.backward()  # type: ignore[no-untyped-call]
        moved = {}
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
            moved[layer] = change
    return moved


@contextmanager
def _recorded_outputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The latest output of every layer, as the model runs."""
    import torch

    outputs: dict[str, Tensor] = {}
    handles = []
    for path, module in named_modules(model).items():
        if not any(True for _ in module.parameters(recurse=False)):
            continue

        def keep(_: nn.Module, __: object, output: object, path: str = path) -> None:
            if isinstance(output, torch.Tensor):
                outputs[path] = output.detach().clone()

        handles.append(module.register_forward_hook(keep))
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
