"""Limits of linear networks, exactly."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest

from widthwise.theory import (
    ToyTask,
    activation,
    limit,
    mup,
    toy,
    train,
)
from widthwise.theory.linear import _bidiagonal
from widthwise.theory.quadrature import TrainedLayers, quadrature_limit

BOTH = TrainedLayers(layers=(True, True), readout_starts=True)


def test_a_linear_layer_is_what_quadrature_says() -> None:
    """Gauss-Hermite is exact of the polynomials that a linear network is: rounding only."""
    task = toy()
    exact = limit(mup(1), task, activation("linear"))
    averaged = quadrature_limit(task, activation("linear"), BOTH, 8)
    np.testing.assert_allclose(averaged.outputs, exact.outputs, atol=1e-12)
    np.testing.assert_allclose(averaged.movement, exact.movement, atol=1e-12)
    for trained in (
        TrainedLayers(layers=(True, False), readout_starts=True),
        TrainedLayers(layers=(True, True), readout_starts=False),
    ):
        from widthwise.theory.linear import linear_limit

        averaged = quadrature_limit(task, activation("linear"), trained, 8)
        np.testing.assert_allclose(
            averaged.outputs, linear_limit(task, trained).outputs, atol=1e-12
        )


def test_several_outputs_are_followed_together() -> None:
    rng = np.random.default_rng(0)
    task = ToyTask(
        inputs=rng.normal(size=(3, 1)),
        targets=rng.normal(size=(3, 2)),
        tests=rng.normal(size=(5, 1)),
        lr=0.2,
        steps=7,
    )
    exact = limit(mup(1), task, activation("linear"))
    averaged = quadrature_limit(task, activation("linear"), BOTH, 6)
    np.testing.assert_allclose(averaged.outputs, exact.outputs, atol=1e-12)
    for hidden in (1, 2):
        found = limit(mup(hidden), task, activation("linear"))
        net = train(mup(hidden), task, activation("linear"), width=1500, seed=0)
        assert found.outputs.shape == (8, 5, 2)
        # 1 / root of 1500 is 0.026; outputs are of order 1
        np.testing.assert_allclose(net.outputs, found.outputs, atol=0.15)


def test_one_input_and_output_follow_four_numbers() -> None:
    """f = (A C + B D) x with A, B, C, D as the paper has them for d = o = 1."""
    x, y, lr, steps = 0.8, 1.1, 0.3, 15
    ones: Any = {"inputs": np.array([[x]]), "tests": np.array([[1.0]])}
    task = ToyTask(**ones, targets=np.array([[y]]), lr=lr, steps=steps)
    a, b, c, d = 1.0, 0.0, 0.0, 1.0
    expected = [a * c + b * d]
    for _ in range(steps):
        push = lr * ((a * c + b * d) * x - y) * x
        a, b, c, d = a - push * c, b - push * d, c - push * a, d - push * b
        expected.append(a * c + b * d)
    found = limit(mup(1), task, activation("linear")).outputs[:, 0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-14)


def test_the_matrix_between_two_layers_has_catalan_moments() -> None:
    """Limits of <x, (W'W)^k x> / n for Gaussian x: whatever basis stands for W must give them."""
    length, inputs, outputs = 9, 2, 1
    w = _bidiagonal(inputs, outputs, length)
    starts = [chain * length for chain in range(inputs + outputs)]
    for gram, other in ((w.T @ w, w @ w.T),):
        lower, upper = np.eye(len(w)), np.eye(len(w))
        for k in range(length - 1):
            catalan = comb(2 * k, k) // (k + 1)
            below = lower[np.ix_(starts, starts)]
            above = upper[np.ix_(starts, starts)]
            np.testing.assert_array_equal(below[:inputs, :inputs], catalan * np.eye(inputs))
            np.testing.assert_array_equal(above[inputs:, inputs:], catalan * np.eye(outputs))
            lower, upper = lower @ gram, upper @ other
    through = w[starts][:, starts]
    np.testing.assert_array_equal(through[inputs:, :inputs], 0)


def test_a_longer_basis_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The basis is as long as steps can reach; a much shorter one is not the limit."""
    from dataclasses import replace

    from widthwise.theory import linear

    task = toy(lr=0.3, steps=8)
    trained = TrainedLayers(layers=(True,) * 3, readout_starts=True)
    found = linear.linear_limit(task, trained)
    real = linear._coordinates
    monkeypatch.setattr(
        linear, "_coordinates", lambda task, hidden: real(replace(task, steps=40), hidden)
    )
    longer = linear.linear_limit(task, trained)
    np.testing.assert_allclose(longer.outputs, found.outputs, atol=1e-14)
    np.testing.assert_allclose(longer.movement, found.movement, atol=1e-14)
    monkeypatch.setattr(
        linear, "_coordinates", lambda task, hidden: real(replace(task, steps=0), hidden)
    )
    assert np.abs(linear.linear_limit(task, trained).outputs - found.outputs).max() > 1e-4
