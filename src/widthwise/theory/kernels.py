"""Kernels of infinitely wide networks, and gradient descent by a fixed kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .abc import check_hidden_layers
from .activations import NODES, Activation, Array, expectations_of
from .toy_task import ToyTask, Trajectory

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class InfiniteKernels:
    """Kernels of a network with L hidden layers at p points; Gram matrices, shape (p, p).

    Attributes:
        nngp: Covariance of the outputs before training, where the output weights have variance
            1 / width: the kernel of the neural network Gaussian process.
        parts: Neural tangent kernels of the training of single layers, shape (L + 1, p, p); the
            last, of the output layer, is `nngp`.
    """

    nngp: Float64[Array, "p p"]
    parts: Float64[Array, "layers p p"]

    @property
    def ntk(self) -> Float64[Array, "p p"]:
        """Neural tangent kernel of the training of all layers."""
        return np.asarray(self.parts.sum(axis=0))

    def ntk_of(self, layers: Sequence[bool]) -> Float64[Array, "p p"]:
        """Neural tangent kernel of the training of some layers, one truth value a layer."""
        return np.asarray(self.parts[np.asarray(layers)].sum(axis=0))


def kernels(
    phi: Activation, points: Float64[Array, "p d"], hidden_layers: int = 1, *, nodes: int = NODES
) -> InfiniteKernels:
    """Kernels with S_1 = x . x', and weights of variance 1 / width in every other layer.

    S_{l+1} = E[phi(u) phi(v)] and D_{l+1} = E[phi'(u) phi'(v)] over Gaussians with the covariance
    S_l. The part of layer l is S_l D_{l+1} ... D_{L+1}, that of the output layer S_{L+1}. Closed
    forms for relu, erf and linear; quadrature for others.

    Args:
        points: Inputs of shape (p, d), which are not divided by the root of d.
        hidden_layers: Number L of hidden layers.
        nodes: Nodes of the quadrature in each of two dimensions.

    Raises:
        LimitError: There is no hidden layer.

    Source: arXiv 1806.07572, Theorem 1, without biases.

    Example:
        >>> from .activations import ACTIVATIONS
        >>> points = np.array([[3.0, 4.0]])
        >>> float(kernels(ACTIVATIONS["relu"], points).ntk[0, 0])  # 25 / 2 of both layers
        25.0
    """
    check_hidden_layers(hidden_layers)
    covariance = np.asarray(points @ points.T, dtype=np.float64)
    covariances, slopes = [covariance], []
    for _ in range(hidden_layers):
        covariance, slope = _next(phi, covariance, nodes)
        covariances.append(covariance)
        slopes.append(slope)
    parts, product = [covariance], np.ones_like(covariance)
    for layer in range(hidden_layers - 1, -1, -1):
        product = product * slopes[layer]
        parts.append(covariances[layer] * product)
    return InfiniteKernels(nngp=covariance, parts=np.stack(parts[::-1]))


def kernel_descent(
    kernel: Float64[Array, "p p"],
    task: ToyTask,
    start: tuple[Float64[Array, "tests o"], Float64[Array, "examples o"]] | None,
) -> Trajectory:
    """Gradient descent by a fixed kernel: f <- f - eta K(., x) (f(x) - y) of each step's example.

    Args:
        kernel: Gram matrix at the tests, then the inputs, of the task.
        start: Outputs before training at the tests and at the inputs, shapes (tests, o) and
            (examples, o); None is 0.

    Source: arXiv 2011.14522, Definition 3.7.
    """
    tests = len(task.tests)
    outputs = np.zeros((len(kernel), task.targets.shape[1]))
    if start is not None:
        outputs = np.concatenate(start)
    path = [outputs]
    for step in range(task.steps):
        i = step % len(task.inputs)
        error = outputs[tests + i] - task.targets[i]
        outputs = outputs - task.lr * np.outer(kernel[:, tests + i], error)
        path.append(outputs)
    return Trajectory.from_path(path, tests, movements=np.zeros((len(path), 1)), error=0.0)


def _next(
    phi: Activation, covariance: Float64[Array, "p p"], nodes: int
) -> tuple[Float64[Array, "p p"], Float64[Array, "p p"]]:
    """S_{l+1} and D_{l+1}, row by row; quadrature is not symmetric to rounding, the mean is."""
    variances = covariance.diagonal()
    rows = [
        expectations_of(phi, np.full_like(row, variance), row, variances, nodes)
        for row, variance in zip(covariance, variances, strict=True)
    ]
    value, slope = map(np.stack, zip(*rows, strict=True))
    return (value + value.T) / 2, (slope + slope.T) / 2
