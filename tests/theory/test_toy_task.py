"""Tasks that are malformed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    ToyTask,
    toy,
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": np.ones(3)}, r"inputs of a task must be finite .* got shape \(3,\)"),
        ({"targets": np.full((4, 1), np.nan)}, "targets of a task must be finite"),
        ({"targets": np.ones((3, 1))}, "as many targets as inputs"),
        ({"tests": np.ones((3, 5))}, "tests as long as inputs"),
        ({"tests": np.ones((0, 2))}, "at least one"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"lr": float("nan")}, "lr must be above 0"),
        ({"steps": -1}, "steps at least 0"),
    ],
)
def test_malformed_tasks_are_refused(changes: dict[str, Any], said: str) -> None:
    good = {name: getattr(toy(), name) for name in ("inputs", "targets", "tests", "lr", "steps")}
    with pytest.raises(LimitError, match=said):
        ToyTask(**{**good, **changes})
