"""What MAML does within a task: a linear network adapts to the support by gradient descent.

The network is f(x) = V U x, the bias being the weight of a constant input. All that gradient
descent does to it in a task stays in the span of a few vectors: the rows of V and the features H of
the support images. Let Phi be these 5 + 5 rows. After any number of steps

    V_k = v Phi,    features of the support  h Phi,    of the queries  (their old ones) + q Phi

so that 10 x 10 inner products say everything, whatever the width: that of a finite network, or of
its limit of infinite width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .tasks import Episodes

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Products:
    """Inner products that tasks depend on.

    Attributes:
        basis: Of the rows of V and the features of the support with each other, shape
            (tasks, 10, 10).
        query: Of the features of the queries with these, shape (tasks, 5, 10).
    """

    basis: Floats
    query: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapted:
    """A network after its steps in each task.

    Attributes:
        readout: v, coordinates of the rows of V, shape (tasks, 5, 10).
        shift: q, coordinates of how the features of the queries moved, shape (tasks, 5, 10).
        logits: At the queries, shape (tasks, 5, 5).
    """

    readout: Floats
    shift: Floats
    logits: Floats


def residual(logits: Floats) -> Floats:
    """Gradient of a task's mean cross-entropy by its logits: (softmax - labels) / 5.

    >>> residual(np.zeros((1, 5, 5)))[0, 0].round(2)
    array([-0.16,  0.04,  0.04,  0.04,  0.04])
    """
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    odds /= odds.sum(axis=-1, keepdims=True)
    ways = logits.shape[-1]
    return np.asarray((odds - np.eye(ways, dtype=logits.dtype)) / logits.dtype.type(ways))


def adapt(products: Products, batch: Episodes, lr: float, steps: int) -> Adapted:
    """Gradient descent of all weights on each task's support.

    Args:
        products: Of the network before.
        batch: The tasks.
        lr: Learning rate within a task.
        steps: How many.
    """
    tasks, ways, size = products.query.shape
    rate = products.basis.dtype.type(lr)
    turned = batch.support.swapaxes(1, 2)
    overlap, query_overlap = batch.support @ turned, batch.query @ turned
    readout = np.zeros((tasks, ways, size), dtype=products.basis.dtype)
    features, shift = readout.copy(), readout.copy()
    readout[:, :, :ways] = features[:, :, ways:] = np.eye(ways)
    for _ in range(steps):
        errors = residual(features @ products.basis @ readout.swapaxes(1, 2))
        pulled = rate * (errors @ readout)
        readout = readout - rate * (errors.swapaxes(1, 2) @ features)
        shift = shift - query_overlap @ pulled
        features = features - overlap @ pulled
    logits = (products.query + shift @ products.basis) @ readout.swapaxes(1, 2)
    return Adapted(readout=readout, shift=shift, logits=logits)
