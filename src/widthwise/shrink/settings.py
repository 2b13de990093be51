"""What a shrink is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..cut.checkpoint import stored_dtype
from ..cut.gguf import check_file_type
from ..errors import RunError
from ..measure import find_llama_cpp
from ..notices import notice
from ..prune.calibration import check_source
from ..study import PROMPTS, EvaluateSettings, checked_device
from .goal import GOALS, Goal

# Of the embedded data, what small models beat a trivial answerer at.
TASKS = ("embedded:prose", "embedded:hellaswag", "embedded:piqa", "embedded:sciq")
ITEMS = 200
MINUTES = 60.0
_MOST_MINUTES = 5_256_000  # ten years


@dataclass(frozen=True, kw_only=True)
class ShrinkSettings:
    """Everything that decides what a shrink writes.

    Attributes:
        model: Name or path of the model, as `resolve_model` takes it.
        remove: Share of the neurons to remove (`"20%"`).
        params: Most parameters that the result may have (`"1B"`, or `"85%"` of the model's).
        size: Most bytes of the file that is deployed (`"0.4GB"`): the GGUF file where there is one,
            else the files of weights.
        smaller: How much smaller that file is to be (`"15%"`).
        max_loss: The share of its scores that the model may lose (`"2%"`, see `loss_of`); widths
            are tried for it.
        faster: How many times as fast the result is to be (`"1.2x"`), of a prompt of 512 tokens and
            32 new ones; widths are timed for it.
        minutes: Time on the clock for all stages; healing takes what the others leave of it.
        text: Text for the refit and for healing, as `calibrate` takes it; None for the embedded
            text.
        tasks: Suites and tasks that are asked before and after, as `load_tasks` takes them.
        limit: Items of each task at most.
        gguf: Type of the GGUF file, one of `FILE_TYPES`; None for no such file.
        per_layer: Whether each layer gets a width of its own; the checkpoint is then a compact one.
        seed: Seed of the samples of items, and of the order of the text in healing.
        dtype: Dtype in which the result is stored; None keeps that of the model.
        device: Where models are asked, trained and timed; None for CUDA where there is one.
        data: Folder of documents of the tasks; None for the hub.

    Raises:
        TargetError: The size is not asked for in exactly one way, or it, the dtype or the type of
            the GGUF file cannot be read.
        RunError: The minutes, the tasks, the text or the device cannot be.
    """

    model: str
    remove: str | None = None
    params: str | None = None
    size: str | None = None
    smaller: str | None = None
    max_loss: str | None = None
    faster: str | None = None
    minutes: float = MINUTES
    text: str | None = None
    tasks: tuple[str, ...] = TASKS
    limit: int = ITEMS
    gguf: str | None = None
    per_layer: bool = False
    seed: int = 0
    dtype: str | None = None
    device: str | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        if self.goal.is_tried and self.per_layer:
            raise RunError(f"{self.goal} tries one width for all layers: drop --per-layer")
        if not (math.isfinite(self.minutes) and 0 < self.minutes <= _MOST_MINUTES):
            raise RunError(
                f"minutes must be a number above 0, at most {_MOST_MINUTES:,}; got {self.minutes!r}"
            )
        stored_dtype(self.dtype)

    @property
    def goal(self) -> Goal:
        """What is asked of the size."""
        return Goal.of(**{kind: getattr(self, kind) for kind in GOALS})

    @property
    def stored(self) -> Mapping[str, Any]:
        """The settings as the folder of a shrink keeps them."""
        added_later = ("max_loss", "faster")
        return {k: v for k, v in asdict(self).items() if v is not None or k not in added_later}

    def evaluation(self, model: str, dtype: str | None = None) -> EvaluateSettings:
        """How a model is asked the tasks, the same before and after.

        Args:
            model: Name or path of the model.
            dtype: Dtype in which it is run; None for the faster one here.
        """
        return EvaluateSettings(
            model=model,
            tasks=self.tasks,
            limit=self.limit,
            seed=self.seed,
            dtype=dtype,
            device=self.device,
            data=self.data,
            prompts=PROMPTS,
        )

    def check(self) -> None:
        """Refuse what can be refused without the model.

        Raises:
            RunError: The text, a task, the device or a package is not there.
        """
        if self.gguf is not None:
            check_file_type(self.gguf)
            self._check_llama_cpp()
        if self.device is not None:
            checked_device(self.device)
        check_source(self.text)
        self.evaluation(self.model).check()

    def _check_llama_cpp(self) -> None:
        """Say where speed cannot be measured; refuse where it is what is asked for."""
        try:
            find_llama_cpp()
        except RunError as error:
            if self.goal.kind == "faster":
                raise
            notice(f"Note: speed will not be measured: {error}.")
