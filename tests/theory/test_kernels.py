"""Kernels of infinitely wide networks, and descent by them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from widthwise.theory import (
    activation,
    kernel_descent,
    kernels,
    ntp,
    toy,
    train,
)
from widthwise.theory.activations import expectations_of


@pytest.mark.parametrize("phi", ["linear", "erf", "relu", "tanh"])
def test_kernels_are_symmetric_positive_and_agree_with_quadrature(phi: str) -> None:
    rng = np.random.default_rng(1)
    points = np.vstack([rng.normal(size=(4, 2)), np.zeros((1, 2))])
    one = activation(phi)
    found = kernels(one, points, 3)
    np.testing.assert_array_equal(found.ntk, found.ntk.T)
    assert np.linalg.eigvalsh(found.ntk).min() > -1e-12
    np.testing.assert_array_equal(found.parts[-1], found.nngp)
    np.testing.assert_allclose(found.parts.sum(axis=0), found.ntk)
    gram = points[:4] @ points[:4].T
    uu, vv = np.broadcast_arrays(gram.diagonal()[:, None], gram.diagonal()[None, :])
    if one.expectations is None:
        return
    # nodes meet smooth functions well; where relu has its kink, 1 of 128 in each dimension is cut
    tolerance = {"linear": 1e-12, "erf": 1e-6, "relu": 0.02}[phi]
    closed = one.expectations(uu, gram, vv)
    quadrature = expectations_of(replace(one, expectations=None), uu, gram, vv, 128)
    for ours, theirs in zip(closed, quadrature, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_kernels_at_known_points() -> None:
    """relu at right angles: 1 / 2 pi and 1 / 4; the same point: half of everything."""
    found = kernels(activation("relu"), np.eye(2), 1)
    np.testing.assert_allclose(found.nngp, [[0.5, 1 / (2 * np.pi)], [1 / (2 * np.pi), 0.5]])
    np.testing.assert_allclose(found.parts[0], [[0.5, 0], [0, 0.5]])
    points = np.array([[1.0, 2.0], [0.5, -1.0]])
    np.testing.assert_allclose(kernels(activation("linear"), points, 3).ntk, 4 * points @ points.T)


def test_kernels_are_the_gradients_of_a_wide_network() -> None:
    """One small step of gradient descent at one point moves all outputs by the NTK, on average.

    The mean over 24 networks of width 512 is off by 1 / root of (24 * 512), 0.01 of an order of 1.
    """
    task, phi = toy(lr=1e-6, steps=1), activation("erf")
    moved = []
    for seed in range(24):
        run = train(ntp(2), task, phi, width=512, seed=seed)
        error = run.fitted[0, 0] - task.targets[0]
        moved.append((run.outputs[0] - run.outputs[1])[:, 0] / task.lr / error)
    points = np.concatenate([task.tests, task.inputs])
    kernel = kernels(phi, points, 2).ntk
    np.testing.assert_allclose(np.mean(moved, axis=0), kernel[:3, 3], atol=0.06)


def test_kernel_descent_ends_where_least_squares_does() -> None:
    """With many steps the training error goes; the tests then interpolate by the kernel."""
    task = toy(lr=0.5, steps=4000)
    points = np.concatenate([task.tests, task.inputs])
    gram = kernels(activation("relu"), points).ntk
    found = kernel_descent(gram, task, None)
    expected = gram[:3, 3:] @ np.linalg.solve(gram[3:, 3:], task.targets)
    np.testing.assert_allclose(found.fitted[-1], task.targets, atol=1e-8)
    np.testing.assert_allclose(found.outputs[-1], expected, atol=1e-7)
