"""What fixes the numbers of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import RunError
from ..evaluate import BACKENDS
from .network import CONTROL, Network, check_criterion


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """What fixes the numbers of a sweep; the same settings give the same cells.

    Attributes:
        model: As `locate` takes it.
        tasks: Suites and tasks, as `load_tasks` takes them.
        widths: Expansion ratios (`"2.4x"`) or shares to remove (`"40%"`); the dense model is
            always measured.
        criteria: How neurons are chosen; `random`, the control, is always among them.
        limit: Items of each task at most.
        limits: Of single tasks, by name, in place of `limit`.
        seed: Of the samples of items and of the random criterion.
        dtype: None for the faster of bfloat16 and float32 on this machine.
        device: `"cpu"`, `"cuda"` ...; None for CUDA where there is one.
        data: Folder of documents; None for the hub.
        max_new_tokens: Cap on what a task has written; None for the task's own.
        until: Stop a task early when the interval of the difference from dense is this narrow to
            either side; None for all items.
        backend: `"widthwise"`, or lm-eval's own `"hf"` or `"vllm"`.

    Raises:
        RunError: No task, or an unknown backend.
        PlanError, TargetError: A criterion is unknown or needs more than weights, the seed is out
            of range, or a width cannot be read.
    """

    model: str = "smollm2"
    tasks: tuple[str, ...] = ("embedded",)
    widths: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ("ppm",)
    limit: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    dtype: str | None = None
    device: str | None = None
    data: str | None = None
    max_new_tokens: int | None = None
    until: float | None = None
    backend: str = "widthwise"

    def __post_init__(self) -> None:
        if not self.tasks:
            raise RunError("a sweep must have at least one task or suite; got none")
        if self.backend not in BACKENDS:
            raise RunError(f"backend must be one of {', '.join(BACKENDS)}; got {self.backend!r}")
        for criterion in self.criteria:
            check_criterion(criterion, self.seed)
        for asked in self.widths:
            Network(CONTROL, asked).target  # noqa: B018  read, so that it is looked at
