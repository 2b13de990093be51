"""Linear networks of one hidden layer in maximal update parametrization: finite, and their limit.

f(x) = V U x with rows of U from N(0, sigma_u^2 / n) and entries of V from N(0, sigma_v^2 / n); the
bias is the last column of U and starts at 0. In this form the multipliers of muP cancel, and one
learning rate, without the width, serves all weights.

The output depends on the inner products A = U'U, M = VU and B = VV' alone, and gradient descent
closes on them. As the width grows, A and B start from sigma^2 I and M from 0: the limit.
`WeightNetwork` holds U and V, `GramNetwork` A, M and B, which costs the same at every width. Both
are exact.

Large matrix products are SciPy's. NumPy brings a BLAS of its own, whose threads stay awake for a
while after each product; called in turn, the threads of both push each other off the cores, and a
step takes five times longer. Small products, which one thread takes, may be NumPy's.

Source: arXiv 2011.14522, Corollary 6.2 and Appendix D.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Episodes
from .inner_loop import Adapted, Floats, Learner, Products, adapt, clipped, residual

MOST_WIDTH = 1_000_000  # takes a minute to draw; nearer to the limit than rounding
_ROWS = 8192  # of U at a time: 50 MB


@dataclass(frozen=True, kw_only=True)
class LayerScales:
    """Initial scales of a network.

    Attributes:
        u: Scale sigma_u, the root of n times the variance of the first layer's weights.
        v: Scale sigma_v, the same of the output layer.
        bias: Constant input of the bias.
    """

    u: float
    v: float
    bias: float


class LinearNetwork(Learner):
    """A linear network of one hidden layer."""

    @abstractmethod
    def products(self, batch: Episodes) -> Products:
        """Inner products that the tasks depend on; `descend` must follow on the same tasks."""

    @abstractmethod
    def descend(self, batch: Episodes, adapted: Adapted, lr: float, clip: float) -> float:
        """One step on the tasks of the last `products`; the norm before clipping."""

    def logits(self, batch: Episodes, lr: float, steps: int) -> Floats:
        return adapt(self.products(batch), batch, lr, steps).logits

    def meta_step(
        self, batch: Episodes, *, inner_lr: float, inner_steps: int, lr: float, clip: float
    ) -> float:
        adapted = adapt(self.products(batch), batch, inner_lr, inner_steps)
        return self.descend(batch, adapted, lr, clip)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Gradient:
    """First-order meta-gradient, summed over tasks: the gradients of the adapted networks.

    With Phi the rows of V and of the support features of all tasks:
    dU = Phi' pull, dV = mix V + push U'.
    """

    pull: Floats  # (ways + support images of all tasks, inputs)
    mix: Floats  # (ways, ways)
    push: Floats  # (ways, inputs)


def _meta_gradient(batch: Episodes, adapted: Adapted) -> _Gradient:
    """Gradient of the queries' loss by the adapted weights, used as that by the weights before."""
    _, ways, inputs = batch.query.shape
    errors = residual(adapted.logits)
    turned = errors.swapaxes(1, 2)
    shift = turned @ adapted.shift
    pulls = adapted.readout.swapaxes(1, 2) @ turned  # (tasks, ways + support images, ways)
    query, support = (x.reshape(-1, inputs) for x in (batch.query, batch.support))

    def over_tasks(blocks: Floats, images: Floats) -> Floats:
        return product(blocks.swapaxes(0, 1).reshape(ways, -1), images)

    pull = np.empty((ways + len(support), inputs), dtype=query.dtype)
    pull[:ways] = over_tasks(pulls[:, :ways], query)
    np.matmul(pulls[:, ways:], batch.query, out=pull[ways:].reshape(batch.support.shape))
    return _Gradient(
        pull=pull,
        mix=shift[:, :, :ways].sum(axis=0),
        push=over_tasks(turned, query) + over_tasks(shift[:, :, ways:], support),
    )


class WeightNetwork(LinearNetwork):
    """A finite network by its weights.

    Cost: of a step, the width times the inputs times three times the images.
    """

    def __init__(self, first: Floats, readout: Floats) -> None:
        """From U, shape (width, inputs), and V, shape (ways, width)."""
        self.first, self.readout = first, readout
        self._features = first[:0]

    def products(self, batch: Episodes) -> Products:
        tasks, _, inputs = batch.support.shape
        width = len(self.first)
        turned = self.first.T
        support = product(batch.support.reshape(-1, inputs), turned).reshape(tasks, -1, width)
        query = product(batch.query.reshape(-1, inputs), turned).reshape(tasks, -1, width)
        rows = np.broadcast_to(self.readout, (tasks, *self.readout.shape))
        basis = np.concatenate([rows, support], axis=1)
        columns = basis.swapaxes(1, 2)
        self._features = support.reshape(-1, width)
        return Products(basis=basis @ columns, query=query @ columns)

    def descend(self, batch: Episodes, adapted: Adapted, lr: float, clip: float) -> float:
        gradient = _meta_gradient(batch, adapted)
        first = product(np.concatenate([self.readout, self._features]).T, gradient.pull)
        readout = gradient.mix @ self.readout + product(gradient.push, self.first.T)
        rate, norm = clipped(lr, clip, float(np.square(first).sum() + np.square(readout).sum()))
        factor = first.dtype.type(rate)
        self.first = self.first - factor * first
        self.readout = self.readout - factor * readout
        return norm

    def copy(self) -> WeightNetwork:
        return copy(self)  # its weights are replaced, never changed


class GramNetwork(LinearNetwork):
    """A network of any width, or the limit, by the inner products of its weights.

    A is symmetric and only its upper triangle is kept up to date.

    Cost: of a step, the square of the inputs times twice the support images.
    """

    def __init__(self, a: Floats, m: Floats, b: Floats) -> None:
        """From A = U'U, shape (inputs, inputs), M = VU, shape (ways, inputs), and B = VV'."""
        self.a, self.m, self.b = np.asfortranarray(a), m, b
        self._seen = self._features = m[:0]

    def products(self, batch: Episodes) -> Products:
        tasks, images, inputs = batch.support.shape
        ways = len(self.m)
        support = batch.support.reshape(-1, inputs)
        self._seen = times_symmetric(support, self.a)  # U'H' of all tasks, turned
        self._features = product(support, self.m.T)  # HV'
        near = self._seen.reshape(tasks, images, inputs).swapaxes(1, 2)
        with_readout = self._features.reshape(tasks, images, ways)
        basis = np.empty((tasks, ways + images, ways + images), dtype=support.dtype)
        basis[:, :ways, :ways] = self.b
        basis[:, ways:, :ways] = with_readout
        basis[:, :ways, ways:] = with_readout.swapaxes(1, 2)
        basis[:, ways:, ways:] = batch.support @ near
        query = np.concatenate([batch.query @ self.m.T, batch.query @ near], axis=2)
        return Products(basis=basis, query=query)

    def descend(self, batch: Episodes, adapted: Adapted, lr: float, clip: float) -> float:
        gradient, ways = _meta_gradient(batch, adapted), len(self.m)
        support = batch.support.reshape(-1, self.a.shape[0])
        phi_u = np.concatenate([self.m, self._seen])  # Phi U
        v_phi = np.concatenate([self.b, self._features.T], axis=1)  # V Phi'
        phi_du = np.empty_like(gradient.pull)  # Phi dU
        phi_du[:ways] = product(v_phi, gradient.pull)
        rest = np.concatenate([self._features, product(self._seen, support.T)], axis=1)
        phi_du[ways:] = product(rest, gradient.pull)
        dv_u = gradient.mix @ self.m + times_symmetric(gradient.push, self.a)
        dv_v = gradient.mix @ self.b + gradient.push @ self.m.T
        dv_dv = dv_v @ gradient.mix.T + dv_u @ gradient.push.T
        square = (phi_du * gradient.pull).sum() + np.trace(dv_dv)
        rate, norm = clipped(lr, clip, float(square))
        factor = self.m.dtype.type(rate)
        dv_phi = gradient.mix @ v_phi + product(gradient.push, phi_u.T)
        moved = dv_u + phi_du[:ways]
        self.m = self.m - factor * moved + factor**2 * product(dv_phi, gradient.pull)
        self.b = self.b - factor * (dv_v + dv_v.T) + factor**2 * dv_dv
        half = factor * phi_u - (factor**2 / 2) * phi_du
        self.a = rank2_downdate(self.a, gradient.pull, half)
        return norm

    def copy(self) -> GramNetwork:
        return GramNetwork(self.a.copy(order="F"), self.m, self.b)


def limit_network(
    pixels: int, scales: LayerScales, ways: int = 5, dtype: type[np.floating] = np.float32
) -> GramNetwork:
    """The limit of infinite width, before training.

    Args:
        scales: Initial scales of the networks whose limit it is.
        ways: Classes of a task.
        dtype: Type of all arithmetic.
    """
    a = np.zeros((pixels + 1, pixels + 1), dtype=dtype)
    np.fill_diagonal(a[:pixels, :pixels], scales.u**2)
    m = np.zeros((ways, pixels + 1), dtype=dtype)
    return GramNetwork(a, m, np.eye(ways, dtype=dtype) * dtype(scales.v**2))


def finite_network(
    width: int,
    pixels: int,
    scales: LayerScales,
    rng: np.random.Generator,
    ways: int = 5,
    dtype: type[np.floating] = np.float32,
) -> LinearNetwork:
    """A random network: by its weights or, where these are more, by their inner products.

    Args:
        width: Neurons of the hidden layer, 1 to `MOST_WIDTH`.
        ways: Classes of a task.
        dtype: Type of all arithmetic after the drawing.
    """
    readout = rng.standard_normal((ways, width)) * (scales.v / sqrt(width))
    if width <= pixels + ways:
        first = first_rows(width, width, pixels, scales, rng)
        return WeightNetwork(first.astype(dtype), readout.astype(dtype))
    a, m = np.zeros((pixels + 1, pixels + 1)), np.zeros((ways, pixels + 1))
    for start in range(0, width, _ROWS):
        first = first_rows(min(_ROWS, width - start), width, pixels, scales, rng)
        a += first.T @ first
        m += readout[:, start : start + len(first)] @ first
    return GramNetwork(a.astype(dtype), m.astype(dtype), (readout @ readout.T).astype(dtype))


def first_rows(
    number: int, width: int, pixels: int, scales: LayerScales, rng: np.random.Generator
) -> Floats:
    """The given number of rows of U of a network of this width; their bias is 0."""
    rows = np.zeros((number, pixels + 1))
    rows[:, :pixels] = rng.standard_normal((number, pixels)) * (scales.u / sqrt(width))
    return rows


@cache
def _blas(dtype: np.dtype[Any]) -> tuple[Any, Any, Any]:
    from scipy.linalg.blas import get_blas_funcs

    return tuple(get_blas_funcs(("gemm", "symm", "syr2k"), dtype=dtype))


def product(left: Floats, right: Floats) -> NDArray[Any]:
    """The matrix product of two matrices in rows (C order), in rows."""
    gemm, _, _ = _blas(left.dtype)
    return np.asarray(gemm(1.0, right.T, left.T).T)


def times_symmetric(rows: Floats, symmetric: Floats) -> NDArray[Any]:
    """Rows times a symmetric matrix in columns (Fortran order), of which the upper part is read."""
    _, symm, _ = _blas(rows.dtype)
    return np.asarray(symm(1.0, symmetric, rows.T).T)


def rank2_downdate(symmetric: Floats, left: Floats, right: Floats) -> NDArray[Any]:
    """Take left' right + right' left from a symmetric matrix, whose upper part is written over."""
    _, _, syr2k = _blas(symmetric.dtype)
    return np.asarray(syr2k(-1.0, left.T, right.T, beta=1.0, c=symmetric, overwrite_c=1))
