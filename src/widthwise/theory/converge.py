"""Finite networks beside their limit: their distance, and its power of the width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import LimitError
from .abc import Abc
from .activations import ACTIVATIONS, Activation, Array
from .classify import classify, size_exponents
from .limit import limit_from
from .mlp import train
from .power_law import Agreement, PowerLawFit, check_widths, fit_rate
from .presets import mup, ntp
from .toy_task import ToyTask, Trajectory, toy

_HALF = Fraction(1, 2)
_DIVERGED = 100  # times targets and first outputs; training that converges stays below a few times


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One parametrization on one task."""

    name: str
    parametrization: Abc
    phi: Activation
    task: ToyTask


@dataclass(frozen=True, kw_only=True, eq=False)
class Convergence:
    """Distances and movements of the networks of a case at several widths.

    Attributes:
        distance: Root mean square, over steps and tests, of outputs less the limit's. In the kernel
            regime the limit starts from each network's own outputs.
        expected: Slope of `distance` in theory; None where another power of the width, which is
            not derived here, is slower than -1/2.
        movement: Change of the last hidden layer's features in training.
        expected_movement: Slope of `movement` in theory, -r.
        limit_movement: Movement of the limit; 0 of a kernel.
        limit_error: Error of a limit by quadrature or particles; distances near it say nothing.
        limit_movements: Movement of each hidden layer of the limit after each step, shape (steps +
            1, L); 0 of a kernel.
    """

    case: Case
    distance: PowerLawFit
    expected: Fraction | None
    movement: PowerLawFit
    expected_movement: Fraction
    limit_movement: float
    limit_error: float
    limit_movements: Array | None = None

    @property
    def verdict(self) -> Agreement | None:
        """Agreement of the slope of `distance` with theory's; None where that is not known."""
        return None if self.expected is None else self.distance.agreement_with(float(self.expected))

    @property
    def movement_verdict(self) -> Agreement:
        """Agreement of the slope of `movement` with theory's."""
        return self.movement.agreement_with(float(self.expected_movement))


def standard_cases() -> tuple[Case, ...]:
    """Three limits in which features are learned, and one in which they stay."""
    linear, tanh = ACTIVATIONS["linear"], ACTIVATIONS["tanh"]
    return (
        Case(name="muP, linear", parametrization=mup(1), phi=linear, task=toy()),
        Case(name="muP, tanh", parametrization=mup(1), phi=tanh, task=toy()),
        Case(
            name="muP, 2 layers, linear",
            parametrization=mup(2),
            phi=linear,
            task=toy(lr=0.3, steps=8),
        ),
        Case(name="NTP, tanh", parametrization=ntp(1), phi=tanh, task=toy()),
    )


def kernel_cases(hidden_layers: int, phi: Activation, task: ToyTask) -> tuple[Case, Case]:
    """muP, whose features move in the limit, and the kernel regime beside it, NTP."""
    depth = f", {hidden_layers} layers" if hidden_layers > 1 else ""
    return tuple(  # type: ignore[return-value]
        Case(name=f"{name}{depth}, {phi.name}", parametrization=one, phi=phi, task=task)
        for name, one in (("muP", mup(hidden_layers)), ("NTP", ntp(hidden_layers)))
    )


def converge(
    case: Case,
    *,
    widths: Sequence[int],
    seeds: int,
    seed: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> Convergence:
    """Train networks of several widths, each with its own seeds, and compare with the limit.

    `progress` is called with the share of networks that are trained, 0 to 1.

    Raises:
        LimitError: There is no limit to be had (see `limit`), too few widths or seeds, networks
            that cannot be trained (see `train`), or training diverges: outputs become more than 100
            times as large as targets and first outputs.

    Cost: that of `train`, for every width and seed.
    """
    check_widths(widths, seeds)
    parametrization, task, phi = case.parametrization, case.task, case.phi
    follow = limit_from(parametrization, task, phi)
    mean_limit = follow(None)
    _check_bounded(task, mean_limit, "the limit")
    random = size_exponents(parametrization).readout_start == _HALF
    distances = np.empty((len(widths), seeds))
    movements = np.empty_like(distances)
    for i, width in enumerate(widths):
        for j in range(seeds):
            net = train(parametrization, task, phi, width=width, seed=seed + i * seeds + j)
            _check_bounded(task, net, f"width {width}")
            target = follow(net) if random else mean_limit
            distances[i, j] = np.sqrt(np.square(net.outputs - target.outputs).mean())
            movements[i, j] = net.movement[-1]
            progress((i * seeds + j + 1) / (len(widths) * seeds))
    return Convergence(
        case=case,
        distance=fit_rate(widths, distances),
        expected=expected_slope(parametrization),
        movement=fit_rate(widths, movements),
        expected_movement=-classify(parametrization).r,
        limit_movement=float(mean_limit.movement[-1]),
        limit_error=mean_limit.error or 0.0,
        limit_movements=np.broadcast_to(
            mean_limit.movements, (task.steps + 1, parametrization.hidden_layers)
        ),
    )


def _check_bounded(task: ToyTask, trajectory: Trajectory, where: str) -> None:
    size = max(np.abs(task.targets).max(), np.abs(trajectory.outputs[0]).max())
    largest = np.abs(trajectory.outputs).max()
    if largest > _DIVERGED * size:
        raise LimitError(
            f"training must stay bounded to be compared; it diverged with lr {task.lr:g}: outputs "
            f"of {where} grew to {largest:.1e}, where targets and first outputs are up to "
            f"{size:.2g}: take a smaller lr"
        )


def expected_slope(parametrization: Abc) -> Fraction | None:
    """-1/2 where only the fluctuations of finitely many neurons keep networks off the limit.

    What vanishes in the limit, of what a network starts from or is moved by, must vanish as
    n^(-1/2) or faster for that; None where it does not.

    Example:
        >>> from .presets import up
        >>> str(expected_slope(mup(2))), expected_slope(up(Fraction(1, 4), 2))
        ('-1/2', None)
    """
    sizes, r = size_exponents(parametrization), classify(parametrization).r
    start, update = sizes.readout_start, sizes.readout_update
    vanishing = [*sizes.r_layers, update - 1]
    if r == 0:
        vanishing.append(start - 1)
    else:
        vanishing += [start - _HALF, *(start + r_layer - 1 for r_layer in sizes.r_layers)]
    return -_HALF if all(gap == 0 or gap >= _HALF for gap in vanishing) else None
