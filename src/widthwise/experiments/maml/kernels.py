"""MAML in the kernel regime: functions whose features stay as they start.

A function is f(x) = sum of K(x, x_i) c_i. Within a task, gradient descent moves its values at the
queries by the kernel. Between tasks it moves the coefficients c_i of the query images; all of them
are training images, so that one fixed dictionary of these, with a coefficient of each class of a
task, holds the function after any number of steps. Of the linear kernel, as many vectors of
weights as classes hold it.

Source: arXiv 2011.14522, Appendix D; the kernels are those of arXiv 1806.07572 with a bias.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...theory import ACTIVATIONS, Array
from .data import Episodes, Images
from .inner_loop import Floats, Learner, clipped, residual

_CHUNK = 8192  # images of the dictionary at a time: 320 x 8192 entries are 20 MB


@dataclass(frozen=True, kw_only=True)
class KernelMethod:
    """A kernel between images.

    Attributes:
        kind: `linear`, w x.x' + b: Gaussian process and tangent kernel of linear networks but for
            scale; `gp`, the Gaussian process of relu networks of one hidden layer; `ntk`, their
            neural tangent kernel by the training of both weight matrices, biases fixed.
        w: Variance of the first layer's weights.
        b: Variance of its biases.
        v: Variance of the output weights, which scales what the first layer's training adds.
    """

    kind: str
    w: float = 1.0
    b: float = 0.0
    v: float = 1.0

    def between(self, left: Floats, right: Floats) -> Array:
        """Gram matrices, shape (..., p, q), of images of shape (..., p, d) and (..., q, d)."""
        products = np.asarray(left @ right.swapaxes(-1, -2), dtype=np.float64)
        covariance = self.w * products + self.b
        if self.kind == "linear":
            return covariance
        squares = (np.square(side, dtype=np.float64).sum(axis=-1) for side in (left, right))
        uu, vv = (self.w * square + self.b for square in squares)
        expectations = ACTIVATIONS["relu"].expectations
        assert expectations is not None
        value, slope = expectations(uu[..., :, None], covariance, vv[..., None, :])
        return value if self.kind == "gp" else value + self.v * slope * products


class _Function(Learner):
    """A function in the space of a kernel."""

    def __init__(self, kernel: KernelMethod, ways: int) -> None:
        self.kernel, self.ways = kernel, ways

    @abstractmethod
    def values(self, images: Floats) -> Array:
        """f, shape (images, ways), at images of shape (images, pixels)."""

    @abstractmethod
    def _move(self, images: Floats, ids: NDArray[np.int64], by: Array) -> None:
        """Add K(., x_i) by_i for all i."""

    def logits(self, batch: Episodes, lr: float, steps: int) -> Array:
        support, query = batch.support[..., :-1], batch.query[..., :-1]
        both = np.concatenate([support, query], axis=1)
        start = self.values(both.reshape(-1, both.shape[-1])).reshape(*both.shape[:2], self.ways)
        gram = self.kernel.between(both, support)
        moved, images = start, support.shape[1]
        for _ in range(steps):
            moved = moved - lr * gram @ residual(moved[:, :images])
        return np.asarray(moved[:, images:])

    def meta_step(
        self, batch: Episodes, *, inner_lr: float, inner_steps: int, lr: float, clip: float
    ) -> float:
        errors = residual(self.logits(batch, inner_lr, inner_steps)).reshape(-1, self.ways)
        images = batch.query[..., :-1].reshape(len(errors), -1)
        square = np.vdot(errors, self.kernel.between(images, images) @ errors)
        rate, norm = clipped(lr, clip, float(square))
        self._move(images, batch.query_ids.ravel(), np.asarray(-rate * errors, dtype=np.float64))
        return norm


class LinearFunction(_Function):
    """A function in the space of the linear kernel: a vector of weights and a bias a class."""

    def __init__(self, kernel: KernelMethod, pixels: int, ways: int = 5) -> None:
        """0 at every image."""
        super().__init__(kernel, ways)
        self.weights, self.biases = np.zeros((pixels, ways)), np.zeros(ways)

    def values(self, images: Floats) -> Array:
        return self.kernel.w * (images @ self.weights) + self.kernel.b * self.biases

    def _move(self, images: Floats, ids: NDArray[np.int64], by: Array) -> None:
        self.weights = self.weights + images.T @ by
        self.biases = self.biases + by.sum(axis=0)

    def copy(self) -> LinearFunction:
        return copy(self)  # weights are replaced, never changed


class DictionaryFunction(_Function):
    """A function in the space of any kernel, by coefficients of the training images.

    Cost: the value at an image, the pixels times the images that have been moved so far.
    """

    def __init__(self, kernel: KernelMethod, images: Images, ways: int = 5) -> None:
        """0 at every image; `images`, shape (classes, images, pixels), are the dictionary."""
        super().__init__(kernel, ways)
        self.images = images.reshape(-1, images.shape[-1])
        self.coefficients = np.zeros((len(self.images), ways))

    def values(self, images: Floats) -> Array:
        values = np.zeros((len(images), self.ways))
        moved = np.flatnonzero(self.coefficients.any(axis=1))
        for start in range(0, len(moved), _CHUNK):
            part = moved[start : start + _CHUNK]
            known = self.images[part] * images.dtype.type(1 / 255)
            values += self.kernel.between(images, known) @ self.coefficients[part]
        return values

    def _move(self, images: Floats, ids: NDArray[np.int64], by: Array) -> None:
        np.add.at(self.coefficients, ids, by)

    def copy(self) -> DictionaryFunction:
        twin = copy(self)
        twin.coefficients = self.coefficients.copy()
        return twin


def kernel_function(
    kernel: KernelMethod, images: Images, ways: int = 5
) -> LinearFunction | DictionaryFunction:
    """The function 0 in the space of a kernel, to be meta-trained on a set of images."""
    if kernel.kind == "linear":
        return LinearFunction(kernel, images.shape[-1], ways)
    return DictionaryFunction(kernel, images, ways)
