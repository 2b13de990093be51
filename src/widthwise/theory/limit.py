"""The infinite-width limit of a parametrization's training, where there is a way to compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..errors import LimitError
from .abc import Abc, Abcd
from .activations import NODES as KERNEL_NODES
from .activations import Activation
from .classify import classify, size_exponents
from .kernels import kernel_descent, kernels
from .linear import linear_limit
from .particles import PARTICLES, particle_limit
from .quadrature import NODES, TrainedLayers, quadrature_limit
from .toy_task import ToyTask, Trajectory


def limit(
    parametrization: Abc | Abcd,
    task: ToyTask,
    phi: Activation,
    *,
    start: Trajectory | None = None,
    nodes: int = NODES,
    particles: int = PARTICLES,
) -> Trajectory:
    """The trajectory of infinitely wide networks of a parametrization.

    In the kernel regime, gradient descent by the kernels of those layers whose training moves the
    output. Where features are learned, one hidden layer of any activation by quadrature, linear
    networks of one or two hidden layers exactly, and all others by particles.

    Args:
        parametrization: Stable, nontrivial parametrization for SGD.
        start: Network whose outputs before training the limit starts from, where these stay random
            (a + b = 1/2 of the output layer, kernel regime); None starts from their mean, 0.
            Ignored where they vanish.
        nodes: Nodes of the quadrature.
        particles: Draws of the Monte Carlo; see `particle_limit`.

    Raises:
        LimitError: The parametrization is unstable, trivial or for Adam, or the limit takes more
            than fits.
    """
    return limit_from(parametrization, task, phi, nodes=nodes, particles=particles)(start)


def limit_from(
    parametrization: Abc | Abcd,
    task: ToyTask,
    phi: Activation,
    *,
    nodes: int = NODES,
    particles: int = PARTICLES,
) -> Callable[[Trajectory | None], Trajectory]:
    """`limit` as a function of `start`, with all work done that is the same for every start."""
    if isinstance(parametrization, Abcd):
        raise LimitError("limits are of training by SGD; give an abc-parametrization, without d")
    result, sizes = classify(parametrization), size_exponents(parametrization)
    if result.regime == "unstable":
        raise LimitError(f"an unstable parametrization has no limit. {result.explanation}")
    if result.regime == "trivial":
        raise LimitError(f"a trivial parametrization has nothing to follow. {result.explanation}")
    hidden = parametrization.hidden_layers
    if result.regime == "kernel":
        moved = (*(sizes.readout_start + r == 1 for r in sizes.r_layers), sizes.readout_update == 1)
        random = sizes.readout_start == Fraction(1, 2)
        return _kernel_limit(task, phi, moved, random)
    assert result.updated_maximally is not None
    trained = TrainedLayers(
        layers=result.updated_maximally, readout_starts=bool(result.initialized_maximally)
    )
    if phi.name == "linear" and hidden <= 2:
        found = linear_limit(task, trained)
    elif hidden == 1:
        found = quadrature_limit(task, phi, trained, nodes)
    else:
        found = particle_limit(task, phi, trained, particles=particles)
    return lambda start: found


def _kernel_limit(
    task: ToyTask, phi: Activation, moved: tuple[bool, ...], random: bool
) -> Callable[[Trajectory | None], Trajectory]:
    """Gradient descent by the kernels of the moved layers, with the error of their quadrature."""
    points, hidden = np.concatenate([task.tests, task.inputs]), len(moved) - 1
    grams = [
        kernels(phi, points, hidden, nodes=nodes).ntk_of(moved)
        for nodes in (KERNEL_NODES, KERNEL_NODES * 3 // 4)
    ]

    @np.errstate(over="ignore", invalid="ignore")  # callers check whether it is finite
    def follow(start: Trajectory | None) -> Trajectory:
        initial = (start.outputs[0], start.fitted[0]) if random and start is not None else None
        fine, coarse = (kernel_descent(gram, task, initial) for gram in grams)
        error = float(np.abs(fine.outputs - coarse.outputs).max())
        return replace(fine, movements=np.zeros((len(fine.outputs), hidden)), error=error)

    return follow
