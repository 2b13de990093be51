"""The error of a quadrature, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    ToyTask,
    activation,
    limit,
    mup,
    toy,
)


def test_quadrature_says_how_good_it_is_and_when_it_is_too_much() -> None:
    smooth, kinked = (limit(mup(1), toy(), activation(phi), nodes=24) for phi in ("tanh", "relu"))
    finer = [limit(mup(1), toy(), activation(phi), nodes=64) for phi in ("tanh", "relu")]
    for found, better, times in zip((smooth, kinked), finer, (1, 3), strict=True):
        assert found.error is not None
        assert np.abs(found.outputs - better.outputs).max() < times * found.error
        assert better.error is not None
        assert better.error < found.error
    wide = ToyTask(
        inputs=np.ones((1, 9)), targets=np.ones((1, 1)), tests=np.ones((1, 9)), lr=1, steps=1
    )
    with pytest.raises(LimitError, match="at most 4,000,000 points; got 48 nodes in each of 10"):
        limit(mup(1), wide, activation("tanh"))
    with pytest.raises(LimitError, match=r"at least 4 nodes .* got 3"):
        limit(mup(1), toy(), activation("tanh"), nodes=3)
