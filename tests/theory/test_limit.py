"""Infinite-width limits: golden numbers, recursions beside quadrature, networks beside both."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    Abc,
    ToyTask,
    activation,
    limit,
    mfp,
    mup,
    mup_adam,
    ntp,
    toy,
    train,
    up,
)

HALF = Fraction(1, 2)


@pytest.mark.parametrize(
    ("one", "phi", "task", "golden", "tolerance"),
    [
        (mup(1), "linear", toy(), (0.01178652, -0.29553038, 0.60284728), 5e-9),  # all digits
        (mup(1), "tanh", toy(), (0.1736, -0.4481, 0.6921), 1e-4),  # as the reference states it
        (ntp(1), "tanh", toy(), (0.0588, -0.4987, 0.8305), 5e-5),  # all digits
        (mup(2), "linear", toy(lr=0.3, steps=8), (-0.06627053, -0.34663336, 0.62699619), 5e-9),
    ],
)
def test_golden_outputs(one: Abc, phi: str, task: ToyTask, golden: Any, tolerance: float) -> None:
    found = limit(one, task, activation(phi))
    np.testing.assert_allclose(found.outputs[-1, :, 0], golden, atol=tolerance, rtol=0)
    assert found.outputs.shape == (task.steps + 1, 3, 1)
    assert found.fitted.shape == (task.steps + 1, 4, 1)
    np.testing.assert_allclose(found.outputs[0], 0, atol=1e-15)
    assert found.error is not None
    assert found.error < max(tolerance, 1e-15)


def test_mean_field_is_mup_with_one_hidden_layer() -> None:
    for phi in ("linear", "erf"):
        found = [limit(one, toy(steps=4), activation(phi)) for one in (mup(1), mfp(1))]
        np.testing.assert_array_equal(found[0].outputs, found[1].outputs)


def test_a_kernel_limit_starts_where_the_network_does() -> None:
    task, phi = toy(), activation("erf")
    net = train(ntp(1), task, phi, width=64, seed=0)
    found = limit(ntp(1), task, phi, start=net)
    np.testing.assert_array_equal(found.outputs[0], net.outputs[0])
    np.testing.assert_array_equal(found.fitted[0], net.fitted[0])
    vanishing = up(Fraction(1, 4), 1)
    np.testing.assert_array_equal(limit(vanishing, task, phi, start=net).outputs[0], 0)
    np.testing.assert_array_equal(found.movement, [0])


@pytest.mark.parametrize(
    ("one", "phi", "task", "said"),
    [
        (
            Abc(a=[0] * 3, b=(0, HALF, HALF), c=[0] * 3),
            "tanh",
            toy(),
            "no limit. Unstable: one step",
        ),
        (Abc(a=[0] * 3, b=(0, HALF, HALF), c=[2] * 3), "tanh", toy(), "nothing to follow. Trivial"),
        (mup(2), "tanh", toy(steps=20_000), "for this task at most 5,552; got 1,048,576"),
        (mup(2), "linear", toy(steps=2000), "at most 4000 coordinates; got 6006"),
        (mup_adam(1), "tanh", toy(), "limits are of training by SGD"),
    ],
)
def test_limits_that_cannot_be_had_are_refused(
    one: Any, phi: str, task: ToyTask, said: str
) -> None:
    with pytest.raises(LimitError, match=said):
        limit(one, task, activation(phi))
