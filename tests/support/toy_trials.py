"""What does toy trials, for tests of trials; importable by worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from widthwise.errors import RunError
from widthwise.experiments.tinynet_search.trials import Metric, TrialJob, TrialWorker


class Doubler(TrialWorker):
    """Doubles a width; fails as its network says."""

    def __init__(self, device: str) -> None:
        self.device = device

    def train(self, job: TrialJob, on_share: Callable[[float, str], None]) -> dict[str, Any]:
        on_share(0.5, "doubling")
        if job.network.get("fails") == "known":
            raise RunError("the loss is not finite")
        if job.network.get("fails") == "odd":
            raise ValueError("something broke")
        return {"double": Metric(value=2.0 * job.network["width"], unit="count")}


def job(width: int, seed: int = 0, **network: Any) -> TrialJob:
    return TrialJob(
        experiment="toy",
        network={"width": width, **network},
        settings={"steps": 3},
        seed=seed,
        label=f"width {width}",
    )
