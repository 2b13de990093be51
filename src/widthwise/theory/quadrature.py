"""One hidden layer of any activation: averages over neurons instead of sums.

In muP the neurons of an infinitely wide layer are independent draws of (U, C), the weights from the
inputs and to the outputs in units of their first deviations. Training moves each neuron by its own
weights and by the errors, which are averages over all of them:

    f(x) = E[C phi(U . x)],  C <- C - eta error phi(U . x),  U <- U - eta (error . C) phi'(U . x) x

A Gauss-Hermite grid over the first draws takes the place of the neurons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import repeat

import numpy as np

from ..errors import LimitError
from .activations import Activation, gaussian_grid
from .toy_task import ToyTask, Trajectory

NODES = 48
MOST_POINTS = 4_000_000


@dataclass(frozen=True, kw_only=True)
class TrainedLayers:
    """Layers of an infinitely wide network that take part in training at Theta(1).

    Attributes:
        layers: Whether each layer is updated maximally, the output last.
        readout_starts: Whether the output weights are initialized maximally; else they start as 0.
    """

    layers: tuple[bool, ...]
    readout_starts: bool


def quadrature_limit(
    task: ToyTask, phi: Activation, trained: TrainedLayers, nodes: int
) -> Trajectory:
    """The limit of one hidden layer, by a grid with so many nodes in each first draw.

    Args:
        phi: Activation; where it has a kink, many nodes are needed.
        trained: Layers that move, and whether the output weights start at 0.
        nodes: Nodes, at least 4; `error` of the result compares with three quarters of them.

    Raises:
        LimitError: The grid would have more than `MOST_POINTS` points, or too few nodes.

    Cost: nodes^(d + o) points, each a neuron, in every step.

    Source: arXiv 2011.14522, Theorem 6.1.
    """
    d, o = task.inputs.shape[1], task.targets.shape[1]
    sizes = d + (o if trained.readout_starts else 0)
    if nodes < 4 or sizes * np.log(nodes) > np.log(MOST_POINTS):
        raise LimitError(
            f"a quadrature must have at least 4 nodes and at most {MOST_POINTS:,} points; got "
            f"{nodes} nodes in each of {sizes} dimensions: take fewer inputs, or the linear "
            "activation, which is exact at any size"
        )
    fine = _on_grid(task, phi, trained, nodes)
    coarse = _on_grid(task, phi, trained, nodes * 3 // 4)
    with np.errstate(invalid="ignore"):
        return replace(fine, error=float(np.abs(fine.outputs - coarse.outputs).max()))


@np.errstate(over="ignore", invalid="ignore")  # callers check whether it is finite
def _on_grid(task: ToyTask, phi: Activation, trained: TrainedLayers, nodes: int) -> Trajectory:
    d, o = task.inputs.shape[1], task.targets.shape[1]
    axis_points, axis_weights = gaussian_grid(nodes)
    sizes = d + (o if trained.readout_starts else 0)
    mesh = np.meshgrid(*repeat(axis_points, sizes), indexing="ij")
    neurons = np.stack([axis.ravel() for axis in mesh], axis=1)
    weights = reduce(np.multiply.outer, repeat(axis_weights, sizes)).ravel()
    u, c = neurons[:, :d], neurons[:, d:]
    if not trained.readout_starts:
        c = np.zeros((len(neurons), o))
    points = np.concatenate([task.tests, task.inputs])
    inner, outer = (task.lr * moves for moves in trained.layers)
    before = features = phi.value(u @ points.T)
    path, movements = [features.T @ (weights[:, None] * c)], [0.0]
    tests = len(task.tests)
    for step in range(task.steps):
        x, y = task.example(step)
        h = u @ x
        value = phi.value(h)
        error = value @ (weights[:, None] * c) - y
        u, c = (
            u - inner * np.outer((c @ error) * phi.slope(h), x),
            c - outer * np.outer(value, error),
        )
        features = phi.value(u @ points.T)
        path.append(features.T @ (weights[:, None] * c))
        squares = (weights @ (features - before) ** 2)[:tests]
        movements.append(float(np.sqrt(squares.mean())))
    return Trajectory.from_path(path, tests, movements=np.array(movements)[:, None])
