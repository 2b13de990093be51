"""Made-up results of meta-learning."""

from __future__ import annotations

from widthwise.experiments.maml import MamlResult
from widthwise.experiments.maml.train import QueryScore


def result(
    accuracy: float | None, network: str = "finite", width: int | None = None, seed: int = 0
) -> MamlResult:
    """A run with this test accuracy, validated twice; None is one that failed."""
    score = None
    if accuracy is not None:
        score = QueryScore(accuracy=accuracy, standard_error=0.01, tasks=100)
    return MamlResult(
        network=network, width=width, seed=seed, test=score,
        reason=None if score else "it diverged", best_step=100 if score else None,
        validation=((0, 0.2), (100, accuracy or 0.2)), steps_per_sec=1.0, duration_sec=1.0,
    )  # fmt: skip
