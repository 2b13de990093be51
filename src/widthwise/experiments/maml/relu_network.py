"""A network of one hidden layer with relu in maximal update parametrization, by its weights.

f(x) = V relu(U x), where rows of U and entries of V start as those of the linear networks do
(`networks`): relu(c z) = c relu(z) for c > 0, so that the multipliers of muP cancel as there, and
one learning rate serves every width. With scales of n^1/4, and the learning rate divided by the
root of n, the same formulas are the neural tangent parametrization.

Within a task U changes by D X, X being the support images: gradient descent is done on D, of as
many columns as images, whatever the number of pixels.

Source: arXiv 2011.14522, Section 3 and Appendix D: the parametrization, and the first-order step.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import sqrt

import numpy as np

from .data import Episodes
from .inner_loop import Floats, Learner, clipped, residual
from .networks import LayerScales, first_rows, product

MOST_RELU_WIDTH = 8192  # 500 MB for a batch of the largest tasks


@dataclass(frozen=True, kw_only=True, eq=False)
class _Adapted:
    """A network after its steps in each task.

    Attributes:
        readout: V, shape (tasks, ways, width).
        hidden: U x of the queries, shape (tasks, ways, width).
        logits: Logits at the queries, shape (tasks, ways, ways).
    """

    readout: Floats
    hidden: Floats
    logits: Floats


class ReluNetwork(Learner):
    """A finite network with relu.

    Cost: of a step, the width times the inputs times three times the images.
    """

    def __init__(self, first: Floats, readout: Floats) -> None:
        """From U, shape (width, inputs), and V, shape (ways, width)."""
        self.first, self.readout = first, readout

    def logits(self, batch: Episodes, lr: float, steps: int) -> Floats:
        return self._adapt(batch, lr, steps).logits

    def meta_step(
        self, batch: Episodes, *, inner_lr: float, inner_steps: int, lr: float, clip: float
    ) -> float:
        adapted = self._adapt(batch, inner_lr, inner_steps)
        errors = residual(adapted.logits)
        pulled = (errors @ adapted.readout) * (adapted.hidden > 0)
        width, inputs = self.first.shape
        first = product(pulled.reshape(-1, width).T, batch.query.reshape(-1, inputs))
        readout = (errors.swapaxes(1, 2) @ np.maximum(adapted.hidden, 0)).sum(axis=0)
        rate, norm = clipped(lr, clip, float(np.square(first).sum() + np.square(readout).sum()))
        factor = first.dtype.type(rate)
        self.first = self.first - factor * first
        self.readout = self.readout - factor * readout
        return norm

    def _adapt(self, batch: Episodes, lr: float, steps: int) -> _Adapted:
        """Gradient descent of all weights on each task's support."""
        hidden, queries = self._hidden(batch.support), self._hidden(batch.query)
        turned = batch.support.swapaxes(1, 2)
        overlap, query_overlap = batch.support @ turned, batch.query @ turned
        rate = hidden.dtype.type(lr)
        readout = np.broadcast_to(self.readout, (len(hidden), *self.readout.shape))
        change = np.zeros_like(hidden)  # D', shape (tasks, support images, width)
        for _ in range(steps):
            now = hidden + overlap @ change
            features = np.maximum(now, 0)
            errors = residual(features @ readout.swapaxes(1, 2))
            change = change - rate * ((errors @ readout) * (now > 0))
            readout = readout - rate * (errors.swapaxes(1, 2) @ features)
        queries = queries + query_overlap @ change
        logits = np.maximum(queries, 0) @ readout.swapaxes(1, 2)
        return _Adapted(readout=readout, hidden=queries, logits=logits)

    def _hidden(self, images: Floats) -> Floats:
        tasks, number, inputs = images.shape
        rows = product(images.reshape(-1, inputs), self.first.T)
        return np.asarray(rows.reshape(tasks, number, -1))

    def copy(self) -> ReluNetwork:
        return copy(self)  # its weights are replaced, never changed


def relu_network(
    width: int,
    pixels: int,
    scales: LayerScales,
    rng: np.random.Generator,
    ways: int = 5,
    dtype: type[np.floating] = np.float32,
) -> ReluNetwork:
    """A random network.

    Args:
        width: Neurons of the hidden layer, 1 to `MOST_RELU_WIDTH`.
        ways: Classes of a task.
        dtype: Type of all arithmetic after the drawing.
    """
    readout = rng.standard_normal((ways, width)) * (scales.v / sqrt(width))
    first = first_rows(width, width, pixels, scales, rng)
    return ReluNetwork(first.astype(dtype), readout.astype(dtype))
