"""What fixes the cells of a study: models, widths, what they are asked and what is timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import measure
from ..errors import RunError
from ..prune.calibration import TOKENS
from .cost_settings import CostSettings
from .evaluate_settings import EvaluateSettings, check_calibration, stored_settings
from .variant import CONTROL, Variant, check_criterion

_DTYPES = ("bfloat16", "float32", "float16")
PAPER_SEEDS = (42, 123, 456)
_PAPER_WIDTHS = tuple(f"paper {percent}%" for percent in (10, 20, 30, 40, 50, 60))


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a study is asked to measure.

    Attributes:
        models: As `locate` takes them, each once.
        widths: That each model is cut to, as `Network` reads them.
        criteria: How neurons are chosen; `random`, the control, is among them wherever widths are.
        tasks: Suites and tasks, as `load_tasks` takes them; may be none.
        workloads: To time all widths on, as `measure.workloads_of` takes them; may be none.
        seeds: The first is that of everything drawn. Each further one adds a draw of the control
            (`random~123`) and prompts of the paper's workloads (`hellaswag-b1~123`).
        limit: Items of each task at most.
        limits: Of single tasks, by name, in place of `limit`.
        max_new_tokens: Cap on what a task has written; None for the task's own.
        thinking: Whether a model asked by its chat template is asked to think before it answers.
        rounds: Of each workload, at least 5.
        energy: Whether joules are measured where there is a meter, 6 s for each round.
        country: Whose electricity gives joules their CO2 (`"FRA"`); None for no CO2.
        data: Folder of documents; None for the hub.
        dtype: None for the faster of bfloat16 and float32 on this machine.
        device: `"cpu"` or `"cuda"`; None for CUDA where there is one.
        calibration, tokens: Of calibrated criteria, as `EvaluateSettings`.

    Raises:
        RunError: Nothing to measure, a model or a seed twice, or a setting out of range.
        PlanError, TargetError: As `EvaluateSettings`.
    """

    models: tuple[str, ...]
    widths: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ("ppm",)
    tasks: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    limit: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    max_new_tokens: int | None = None
    thinking: bool = False
    rounds: int = measure.LEAST_ROUNDS
    energy: bool = True
    country: str | None = None
    data: str | None = None
    dtype: str | None = None
    device: str | None = None
    calibration: str | None = None
    tokens: int = TOKENS

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(map(_named, _listed("models", self.models))))
        for name in ("widths", "criteria", "tasks", "workloads"):
            for value in _listed(name, getattr(self, name)):
                if not isinstance(value, str):
                    raise RunError(f"{name} must be names; got {value!r}")
        self._check_numbers()
        if not self.tasks and not self.workloads:
            raise RunError("a study asks tasks or times workloads; got neither")
        for what, given in (("model", self.models), ("seed", self.seeds)):
            if not given or len(set(given)) < len(given):
                named = ", ".join(map(str, given)) or "none"
                raise RunError(f"a study takes one {what} or more, each once; got {named}")
        if isinstance(self.calibration, Path):
            object.__setattr__(self, "calibration", str(self.calibration))
        for criterion in self.criteria:
            check_criterion(criterion, self.seeds[0])
        check_calibration(self.criteria, self.calibration, self.tokens)
        for model in self.models:  # either looks at its own part
            if self.tasks:
                self.sweep(model)
            if self.workloads:
                self.costs(model)

    def _check_numbers(self) -> None:
        """Raise RunError where a number or a dtype is none."""
        if not isinstance(self.limits, Mapping):
            raise RunError(f"limits must give numbers by task; got {self.limits!r}")
        limits = {"limit": self.limit, **dict(self.limits)}
        for name, value in limits.items():
            if value is not None and (not isinstance(value, int) or value < 2):
                raise RunError(f"{name} must be a number of items, at least 2; got {value!r}")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise RunError(f"max_new_tokens must be at least 1; got {self.max_new_tokens}")
        if not all(isinstance(seed, int) for seed in _listed("seeds", self.seeds)):
            raise RunError(f"seeds must be whole numbers; got {self.seeds!r}")
        if not self.criteria:
            raise RunError("criteria must name one at least; got none")
        if self.dtype not in (None, *_DTYPES):
            raise RunError(f"dtype must be one of {', '.join(_DTYPES)}; got {self.dtype!r}")
        if not isinstance(self.device, str | None):
            raise RunError(f"device must be a name such as cpu; got {self.device!r}")

    @classmethod
    def paper(cls, *models: str, **changes: object) -> StudySettings:
        """The design of arXiv 2512.22671: seven widths by its own rule, its thirteen tasks, its
        six workloads and its three seeds; `changes` are other settings."""
        design = cls(
            models=models,
            widths=_PAPER_WIDTHS,
            tasks=("paper",),
            workloads=("paper",),
            seeds=PAPER_SEEDS,
        )
        return replace(design, **changes)  # type: ignore[arg-type]  # replace checks the names

    @property
    def stored(self) -> dict[str, Any]:
        """The settings as a study keeps them: calibration text only where it has a say."""
        return stored_settings(asdict(self))

    @property
    def all_criteria(self) -> tuple[str, ...]:
        """Those of the settings, and the control with each seed."""
        asked = dict.fromkeys(self.criteria)
        if not any(Variant(criterion, "1").is_control for criterion in asked):
            asked |= {CONTROL: None}
        if CONTROL in asked:
            asked |= {f"{CONTROL}~{seed}": None for seed in self.seeds[1:]}
        return tuple(asked)

    def sweep(self, model: str) -> EvaluateSettings:
        """What one model is asked."""
        return EvaluateSettings(
            model=model,
            tasks=self.tasks,
            widths=self.widths,
            criteria=self.all_criteria,
            limit=self.limit,
            limits=self.limits,
            seed=self.seeds[0],
            dtype=self.dtype,
            device=self.device,
            data=self.data,
            max_new_tokens=self.max_new_tokens,
            thinking=self.thinking,
            calibration=self.calibration,
            tokens=self.tokens,
        )

    def costs(self, model: str) -> CostSettings:
        """What is timed on one model, and on what is left of it at each width."""
        return CostSettings(
            models=(model,),
            widths=self.widths,
            criterion=self.all_criteria[0],
            workloads=self.workloads,
            rounds=self.rounds,
            seed=self.seeds[0],
            prompt_seeds=self.seeds[1:],
            data=self.data,
            energy=self.energy,
            country=self.country,
            dtype=self.dtype,
            device=self.device,
        )


def _listed(name: str, value: Any) -> Sequence[Any]:
    """The value, if it is a tuple or a list."""
    if not isinstance(value, tuple | list):
        raise RunError(f"{name} must be a tuple; got {value!r}")
    return value


def _named(model: Any) -> str:
    """A model's name, or its folder as text."""
    if not isinstance(model, str | Path):
        raise RunError(f"models must be names or folders; got {model!r}")
    return str(model)
