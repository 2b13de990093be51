"""The inner loop of MAML: a linear network adapts to the support by gradient descent.

The network is f(x) = V U x, the bias being the weight of a constant input. All changes by
gradient descent in a task stay in the span of a few vectors: the rows of V and the features H of
the support images. Let Phi be these rows, ways + support images. After any number of steps

    V_k = v Phi,    features of the support  h Phi,    of the queries  (their old ones) + q Phi

so that the inner products of these rows (10 x 10 with 5 ways and 1 shot) say everything, whatever
the width: that of a finite network, or of its limit of infinite width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from .data import Episodes

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Products:
    """Inner products that tasks depend on.

    Attributes:
        basis: Products of the rows of V and the features of the support with each other, shape
            (tasks, rows, rows); rows = ways + support images.
        query: Products of the features of the queries with these, shape (tasks, ways, rows).
    """

    basis: Floats
    query: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapted:
    """A network after its steps in each task.

    Attributes:
        readout: Coordinates v of the rows of V, shape (tasks, ways, rows).
        shift: Coordinates q of the changes of the queries' features, shape (tasks, ways, rows).
        logits: Logits at the queries, shape (tasks, ways, ways).
    """

    readout: Floats
    shift: Floats
    logits: Floats


def residual(logits: Floats) -> Floats:
    """Gradient of a task's mean cross-entropy by its logits: (softmax - labels) / images.

    Args:
        logits: Shape (..., images, ways); as many images of each class, those of a class together.

    >>> residual(np.zeros((1, 5, 5)))[0, 0].round(2)
    array([-0.16,  0.04,  0.04,  0.04,  0.04])
    """
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    odds /= odds.sum(axis=-1, keepdims=True)
    images, ways = logits.shape[-2:]
    labels = np.repeat(np.eye(ways, dtype=logits.dtype), images // ways, axis=0)
    return np.asarray((odds - labels) / logits.dtype.type(images))


def adapt(products: Products, batch: Episodes, lr: float, steps: int) -> Adapted:
    """Gradient descent of all weights on each task's support."""
    tasks, ways, size = products.query.shape
    rate = products.basis.dtype.type(lr)
    turned = batch.support.swapaxes(1, 2)
    overlap, query_overlap = batch.support @ turned, batch.query @ turned
    readout = np.zeros((tasks, ways, size), dtype=products.basis.dtype)
    features, shift = np.zeros_like(readout, shape=(tasks, size - ways, size)), readout.copy()
    readout[:, :, :ways], features[:, :, ways:] = np.eye(ways), np.eye(size - ways)
    for _ in range(steps):
        errors = residual(features @ products.basis @ readout.swapaxes(1, 2))
        pulled = rate * (errors @ readout)
        readout = readout - rate * (errors.swapaxes(1, 2) @ features)
        shift = shift - query_overlap @ pulled
        features = features - overlap @ pulled
    logits = (products.query + shift @ products.basis) @ readout.swapaxes(1, 2)
    return Adapted(readout=readout, shift=shift, logits=logits)


class Learner(ABC):
    """A network, a limit or a function of a kernel, as meta-training sees it."""

    @abstractmethod
    def logits(self, batch: Episodes, lr: float, steps: int) -> Floats:
        """Logits at the queries after steps on each task's support, (tasks, ways, ways)."""

    @abstractmethod
    def meta_step(
        self, batch: Episodes, *, inner_lr: float, inner_steps: int, lr: float, clip: float
    ) -> float:
        """Descend the sum of the tasks' query losses by the clipped first-order gradient.

        Returns:
            The norm of the gradient before clipping.
        """

    @abstractmethod
    def copy(self) -> Learner:
        """A copy that does not change while the original is trained on."""


def clipped(lr: float, clip: float, square: float) -> tuple[float, float]:
    """The learning rate with the gradient's norm clipped, and that norm, from its square.

    >>> clipped(0.1, 0.5, 4.0)
    (0.025, 2.0)
    """
    norm = sqrt(square) if square >= 0 else nan
    return (lr * min(1.0, clip / norm) if norm > 0 else lr), norm
