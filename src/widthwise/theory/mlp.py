"""Finite networks of any abc-parametrization and their training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from ..errors import LimitError
from .abc import Abc, Abcd
from .activations import Activation, Array
from .toy_task import ToyTask, Trajectory

if TYPE_CHECKING:
    from jaxtyping import Float64

MOST_WEIGHTS = 100_000_000  # 0.8 GB in float64
_BETAS, _EPSILON = (0.9, 0.999), 1e-8
Update = Callable[[int, Array], Array]


def train(
    parametrization: Abc | Abcd, task: ToyTask, phi: Activation, *, width: int, seed: int
) -> Trajectory:
    """Train one network of this width: by SGD for an `Abc`, by Adam for an `Abcd`.

    The standard normal draws depend on the seed and the shapes only, so that parametrizations which
    differ by the symmetry give the same trajectory, to rounding.

    Raises:
        LimitError: The width is below 1, or the weights are more than `MOST_WEIGHTS`.

    Cost: steps * L * width^2 operations, and (examples + tests) times that to follow the function.
    """
    draws = _draws(task, parametrization.hidden_layers, width, seed)
    multipliers = width_factors(parametrization.a, width)
    weights = [
        std * draw for std, draw in zip(width_factors(parametrization.b, width), draws, strict=True)
    ]
    rates = [task.lr * rate for rate in width_factors(parametrization.c, width)]
    update = _sgd(rates)
    if isinstance(parametrization, Abcd):
        factors = [1 / factor for factor in width_factors(parametrization.d, width)]
        update = _adam(rates, factors)
    return descend(weights, multipliers, update, task, phi)


def descend(
    weights: list[Float64[Array, "_ _"]],
    multipliers: Sequence[float],
    update: Update,
    task: ToyTask,
    phi: Activation,
) -> Trajectory:
    """Train the given weights, which are changed in place.

    Args:
        weights: w_1 .. w_{L+1}, shapes (width, d), (width, width) ..., (o, width).
        multipliers: Multipliers of the weights in the forward pass.
        update: Function from a layer and the gradient of its w to the decrement of w.

    Raises:
        LimitError: Numbers grew too large, as of an unstable parametrization or a large lr.
    """
    points = np.concatenate([task.tests, task.inputs])
    start, outputs = _forward(weights, multipliers, phi, points)
    tests = len(task.tests)
    path, movements = [outputs], [np.zeros(len(start))]
    for step in range(task.steps):
        with np.errstate(over="ignore", invalid="ignore"):
            for layer, gradient in enumerate(
                _gradients(weights, multipliers, phi, *task.example(step))
            ):
                weights[layer] -= update(layer, gradient)
            features, outputs = _forward(weights, multipliers, phi, points)
        if not np.isfinite(outputs).all():
            raise LimitError(
                f"training must stay finite; it left the numbers in step {step + 1} of "
                f"{task.steps}: take a smaller lr, or a stable parametrization"
            )
        path.append(outputs)
        changes = [(new - old)[:tests] for new, old in zip(features, start, strict=True)]
        movements.append(np.array([sqrt(np.square(change).mean()) for change in changes]))
    return Trajectory.from_path(path, tests, movements=np.stack(movements))


def width_factors(exponents: Sequence[Fraction], width: int) -> list[float]:
    """n^-k of each exponent k."""
    return [float(width) ** -float(exponent) for exponent in exponents]


def _draws(task: ToyTask, hidden_layers: int, width: int, seed: int) -> list[Array]:
    d, o = task.inputs.shape[1], task.targets.shape[1]
    shapes = [(width, d), *[(width, width)] * (hidden_layers - 1), (o, width)]
    size = sum(rows * columns for rows, columns in shapes)
    if width < 1 or size > MOST_WEIGHTS:
        raise LimitError(
            f"a width must be at least 1 and the network have at most {MOST_WEIGHTS:,} weights; "
            f"got width {width} with {size:,}"
        )
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape) for shape in shapes]


def _forward(
    weights: Sequence[Float64[Array, "_ _"]],
    multipliers: Sequence[float],
    phi: Activation,
    points: Float64[Array, "points d"],
) -> tuple[list[Float64[Array, "points width"]], Float64[Array, "points o"]]:
    """Features of each hidden layer, shapes (points, width), and outputs, shape (points, o)."""
    features, x = [], points
    for weight, multiplier in zip(weights[:-1], multipliers, strict=False):
        x = phi.value(multiplier * (x @ weight.T))
        features.append(x)
    return features, multipliers[-1] * (x @ weights[-1].T)


def _gradients(
    weights: Sequence[Float64[Array, "_ _"]],
    multipliers: Sequence[float],
    phi: Activation,
    x: Float64[Array, " d"],
    y: Float64[Array, " o"],
) -> list[Float64[Array, "_ _"]]:
    """Gradients of the loss of one example for every w; all before any weight is changed."""
    inputs, slopes = [x], []
    for weight, multiplier in zip(weights[:-1], multipliers, strict=False):
        h = multiplier * (weight @ inputs[-1])
        inputs.append(phi.value(h))
        slopes.append(phi.slope(h))
    back = multipliers[-1] * (weights[-1] @ inputs[-1]) - y
    gradients = [multipliers[-1] * np.outer(back, inputs[-1])]
    for layer in range(len(weights) - 2, -1, -1):
        back = multipliers[layer + 1] * (weights[layer + 1].T @ back) * slopes[layer]
        gradients.append(multipliers[layer] * np.outer(back, inputs[layer]))
    return gradients[::-1]


def _sgd(rates: Sequence[float]) -> Update:
    return lambda layer, gradient: rates[layer] * gradient


def _adam(rates: Sequence[float], factors: Sequence[float]) -> Update:
    """Adam with its usual constants on the gradients times n^d; arXiv 1412.6980, Algorithm 1."""
    first: dict[int, Array] = {}
    second: dict[int, Array] = {}
    steps: dict[int, int] = {}

    def update(layer: int, gradient: Array) -> Array:
        gradient = factors[layer] * gradient
        steps[layer] = steps.get(layer, 0) + 1
        first[layer] = _BETAS[0] * first.get(layer, 0.0) + (1 - _BETAS[0]) * gradient
        second[layer] = _BETAS[1] * second.get(layer, 0.0) + (1 - _BETAS[1]) * gradient**2
        mean = first[layer] / (1 - _BETAS[0] ** steps[layer])
        square = second[layer] / (1 - _BETAS[1] ** steps[layer])
        return np.asarray(rates[layer] * mean / (np.sqrt(square) + _EPSILON))

    return update
