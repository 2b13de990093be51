"""Linear networks of one or two hidden layers: their limits are small networks, exactly.

Only inner products of a linear network's vectors matter. As the width grows, Gaussian vectors and
what Gaussian matrices make of them get fixed inner products (over the width), so that coordinates
in an orthonormal basis take their place: the limit is a network with a few special weights, trained
by plain gradient descent.

One hidden layer: the d columns of the first layer and the o rows of the last are independent, hence
orthonormal: U = [I; 0], V = [0, I] (arXiv 2011.14522, Corollary 6.2).

Two: the square matrix W between them is brought to bidiagonal form by orthonormal bases that start
at the first layer's columns and at the output rows. All entries of it, chi variables divided by the
root of the width, go to 1:

    W e_k = f_k + f_{k-1},  W' f_k = e_k + e_{k+1}    from a column e_0 of the first layer
    W' s_k = g_k + g_{k-1},  W g_k = s_k + s_{k+1}    from an output row s_0

Moments of W'W between the e_0 are then the Catalan numbers, as they must be.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from ..errors import LimitError
from .activations import ACTIVATIONS, Array
from .mlp import descend
from .quadrature import TrainedLayers
from .toy_task import ToyTask, Trajectory

if TYPE_CHECKING:
    from jaxtyping import Float64

MOST_COORDINATES = 4000


def linear_limit(task: ToyTask, trained: TrainedLayers) -> Trajectory:
    """The limit of a linear network, exact to rounding.

    Raises:
        LimitError: There are more than two hidden layers, or a basis of more than
            `MOST_COORDINATES` vectors is needed.

    Cost: one hidden layer, as a network of width d + o. Two, of width (d + o) (steps + 2), as every
    step may take each chain one vector further.
    """
    hidden = len(trained.layers) - 1
    if hidden > 2:
        raise LimitError(
            f"an exact linear limit must have at most 2 hidden layers; got {hidden}: words in "
            "several matrices need bases that grow exponentially with the steps; take particles"
        )
    sizes, length = _coordinates(task, hidden)
    basis = sum(sizes) * length
    # The first vectors of all chains, as columns.
    starts = np.asarray(np.kron(np.eye(sum(sizes)), np.eye(length, 1)), dtype=np.float64)
    weights = [starts[:, : sizes[0]].copy(), starts[:, sizes[0] :].copy().T]
    if not trained.readout_starts:
        weights[-1] = np.zeros_like(weights[-1])
    if hidden == 2:
        weights.insert(1, _bidiagonal(*sizes, length))
    rates = [task.lr * moves for moves in trained.layers]
    result = descend(
        weights,
        [1.0] * len(weights),
        lambda layer, g: rates[layer] * g,
        task,
        ACTIVATIONS["linear"],
    )
    return replace(result, movements=result.movements * sqrt(basis), error=0.0)  # sums, not means


def _coordinates(task: ToyTask, hidden: int) -> tuple[tuple[int, int], int]:
    """Chains from the inputs and from the outputs, and the vectors in each."""
    sizes = task.inputs.shape[1], task.targets.shape[1]
    length = 1 if hidden == 1 else task.steps + 2
    basis = sum(sizes) * length
    if basis > MOST_COORDINATES:
        raise LimitError(
            f"a linear limit must need at most {MOST_COORDINATES} coordinates; got {basis} for "
            f"{sizes[0]} inputs, {sizes[1]} outputs and {task.steps} steps: take fewer"
        )
    return sizes, length


def _bidiagonal(inputs: int, outputs: int, length: int) -> Float64[Array, "basis basis"]:
    """W in both bases: ones on the diagonal and beside it, on a side that depends on the chain."""
    above, below = (np.eye(length) + np.eye(length, k=k) for k in (1, -1))
    first = np.kron(np.eye(inputs), above)
    second = np.kron(np.eye(outputs), below)
    empty = np.zeros((len(first), len(second)))
    return np.block([[first, empty], [empty.T, second]])
