"""How many workers a node of a Ray cluster has room for, and what a worker may take."""

from __future__ import annotations

import pytest

from widthwise.errors import RunError
from widthwise.runs.ray_cluster import ResourceRequest


@pytest.mark.parametrize(
    ("cpus", "gpus", "node", "n"),
    [
        (1, 0, {"CPU": 3, "GPU": 2}, 3),
        (1, 1, {"CPU": 8, "GPU": 2}, 2),
        (4, 1, {"CPU": 7, "GPU": 2}, 1),
        (1, 0.3, {"CPU": 8, "GPU": 2}, 6),  # three parts of each, no part of both
        (0.1, 0, {"CPU": 0.3}, 3),  # 0.3 / 0.1 is a little below 3 in binary
        (1, 2, {"CPU": 8, "GPU": 3}, 1),
        (1, 1, {"CPU": 8}, 0),
    ],
)
def test_room_on_a_node(cpus: float, gpus: float, node: dict[str, float], n: int) -> None:
    assert ResourceRequest(cpus=cpus, gpus=gpus).fits(node) == n


@pytest.mark.parametrize(("cpus", "gpus"), [(0, 1), (1, -1), (1, 1.5)])
def test_needs_that_ray_does_not_know_are_refused(cpus: float, gpus: float) -> None:
    with pytest.raises(RunError, match="a part of a GPU or whole GPUs"):
        ResourceRequest(cpus=cpus, gpus=gpus)
