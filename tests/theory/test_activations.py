"""Activations of any kind."""

from __future__ import annotations

import numpy as np

from widthwise.theory import (
    Activation,
    limit,
    mup,
    ntp,
    toy,
    train,
)


def test_any_activation_can_be_brought_along() -> None:
    """A softened relu, known to no table here; its limit by quadrature is near wide networks."""
    soft = Activation(
        name="softplus", value=lambda x: np.logaddexp(0, x), slope=lambda x: 1 / (1 + np.exp(-x))
    )
    for one in (mup(1), ntp(1)):
        net = train(one, toy(steps=6), soft, width=4096, seed=0)
        found = limit(one, toy(steps=6), soft, start=net)
        assert np.abs(net.outputs - found.outputs).max() < 0.06  # 4 / root of 4096
