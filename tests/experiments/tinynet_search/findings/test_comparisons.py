"""Accuracies side by side: chance of photos and of runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from widthwise.errors import RunError
from widthwise.experiments.tinynet_search.findings import (
    accuracy_difference,
)


def test_a_lead_holds_chance_of_photos_and_of_runs() -> None:
    """Of 300 made-up comparisons without a difference, the 95 % interval holds 0 in at least
    95 % - 3 standard errors of 1.3 %: variances add, so that it is rather wide."""
    held = 0
    for seed in range(300):
        chance = np.random.default_rng(seed)
        hard = chance.uniform(0.2, 0.8, 200)  # how often each photo is answered rightly

        def runs(n: int, chance: Any = chance, hard: Any = hard) -> Any:
            skill = 0.05 * chance.normal(size=(n, 1))
            return (chance.random((n, 200)) < np.clip(hard + skill, 0, 1)).astype(float)

        one = accuracy_difference(
            {b: runs(2) for b in (1.0, 2.0)}, {b: runs(3) for b in (1.0, 2.0)}, "x"
        )
        assert one.low is not None
        assert one.high is not None
        held += one.low <= 0 <= one.high
    assert held / 300 > 0.95 - 3 * 0.013


def test_a_clear_lead_is_called_better_and_its_reverse_worse() -> None:
    good = {1.0: np.tile([1.0, 1.0, 1.0, 0.0], (2, 20))}
    bad = {1.0: np.tile([1.0, 0.0, 0.0, 0.0], (2, 20)), 2.0: np.zeros((2, 80))}
    one = accuracy_difference(good, bad, "bad")
    assert (one.verdict, one.budgets, one.value) == ("better", (1.0,), 0.5)
    assert accuracy_difference(bad, good, "good").verdict == "worse"


def test_without_a_second_run_or_a_shared_budget_nothing_is_claimed() -> None:
    one = accuracy_difference({1.0: np.ones((1, 9))}, {1.0: np.zeros((2, 9))}, "x")
    assert (one.value, one.low, one.high, one.verdict) == (1, None, None, "no difference shown")
    assert "two seeds or more" in str(one.reason)
    none = accuracy_difference({1.0: np.ones((2, 9))}, {2.0: np.ones((2, 9))}, "x")
    assert none.value is None
    assert none.reason == "the two share no budget"
    with pytest.raises(RunError, match="the same photos"):
        accuracy_difference({1.0: np.ones((2, 9))}, {1.0: np.ones((2, 8))}, "x")
