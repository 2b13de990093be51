"""Settings of a comparison: what makes no sense is refused, and the neighbours of a width."""

from __future__ import annotations

from typing import Any

import pytest
from cost_runs import WORKS

from widthwise.errors import RunError
from widthwise.study import CostSettings, neighbour_widths


def test_neighbours_of_a_width_are_those_that_kernels_care_for() -> None:
    assert neighbour_widths(7373) == (7296, 7360, 7368, 7372, 7373, 7376, 7424)
    assert neighbour_widths(128) == (128,)
    assert neighbour_widths(1) == (1, 4, 8, 16, 64, 128)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ()}, "one model or more, each once; got none"),
        ({"models": ("a", "a")}, "each once; got a, a"),
        ({"rounds": 4}, "at least 5 rounds and one workload; got 4 and 2"),
        ({"workloads": ()}, "got 5 and 0"),
        ({"country": "FRA", "energy": False}, "CO2 of FRA is computed from energy"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        CostSettings(**{"models": ("a",), "workloads": WORKS, **changes})
