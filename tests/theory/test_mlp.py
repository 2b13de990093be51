"""Finite networks that cannot be trained."""

from __future__ import annotations

import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    Abc,
    Abcd,
    activation,
    mup,
    mup_adam,
    toy,
    train,
)


def test_networks_that_cannot_be_trained_are_refused() -> None:
    task, phi = toy(lr=5.0, steps=30), activation("linear")
    with pytest.raises(LimitError, match=r"at least 1 .*; got width 0"):
        train(mup(2), task, phi, width=0, seed=0)
    with pytest.raises(LimitError, match=r"at most 100,000,000 weights; got width 100000"):
        train(mup(2), task, phi, width=100_000, seed=0)
    unstable = Abc(a=(0, 0, 0), b=(0, "1/2", "1/2"), c=(0, 0, 0))
    with pytest.raises(LimitError, match=r"left the numbers in step .* stable parametrization"):
        train(unstable, task, phi, width=256, seed=0)
    assert isinstance(mup_adam(1), Abcd)
