"""The settings of a study: models, widths, tasks and workloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .. import measure
from ..errors import RunError
from ..prune import PAPER_CRITERION
from ..prune.calibration import TOKENS
from .cost_settings import CostSettings
from .evaluate_settings import EvaluateSettings, check_calibration, stored_settings
from .variant import DEFAULT_CRITERIA, check_criterion, with_control

_DTYPES = ("bfloat16", "float32", "float16")
PAPER_SEEDS = (42, 123, 456)
_PAPER_WIDTHS = tuple(f"paper {percent}%" for percent in (10, 20, 30, 40, 50, 60))


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Everything that fixes the cells of a study.

    Attributes:
        models: Names or paths of the models, as `resolve_model` takes them, each once.
        widths: Widths that each model is cut to, as `Variant` reads them.
        criteria: Criteria that choose neurons; `random`, the control, is among them wherever widths
            are.
        tasks: Suites and tasks, as `load_tasks` takes them; may be none.
        workloads: Workloads to time all widths on, as `measure.workloads_of` takes them; may be
            none.
        seeds: The first is that of everything drawn. Each further one adds a draw of the control
            (`random~123`) and prompts of the paper's workloads (`hellaswag-b1~123`).
        limit: Items of each task at most.
        limits: Limits of single tasks, by name, in place of `limit`.
        max_new_tokens: Cap on what a task has written; None for the task's own.
        thinking: Whether a model asked by its chat template is asked to think before it answers.
        rounds: Rounds of each workload, at least 5.
        energy: Whether joules are measured where there is a meter, 6 s for each round.
        country: Country whose electricity gives joules their CO2 (`"FRA"`); None for no CO2.
        data: Folder of documents; None for the hub.
        dtype: None for the faster of bfloat16 and float32 on this machine.
        device: `"cpu"` or `"cuda"`; None for CUDA where there is one.
        calibration, tokens: Text of calibrated criteria, as in `EvaluateSettings`.

    Raises:
        RunError: Nothing to measure, a model or a seed twice, or a setting out of range.
        PlanError, TargetError: As `EvaluateSettings`.
    """

    models: tuple[str, ...]
    widths: tuple[str, ...] = ()
    criteria: tuple[str, ...] = DEFAULT_CRITERIA
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
            raise RunError("a study needs tasks or workloads; got neither")
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
                self.evaluation(model)
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
            raise RunError("at least one criterion must be named; got none")
        if self.dtype not in (None, *_DTYPES):
            raise RunError(f"dtype must be one of {', '.join(_DTYPES)}; got {self.dtype!r}")
        if not isinstance(self.device, str | None):
            raise RunError(f"device must be a name such as cpu; got {self.device!r}")

    @classmethod
    def paper(cls, *models: str, **changes: object) -> StudySettings:
        """The design of arXiv 2512.22671: seven widths by its own rule, its criterion, its thirteen
        tasks, its six workloads and its three seeds; `changes` are other settings."""
        design = cls(
            models=models,
            widths=_PAPER_WIDTHS,
            criteria=(PAPER_CRITERION,),
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
        return with_control(self.criteria, self.seeds[1:])

    def evaluation(self, model: str) -> EvaluateSettings:
        """The settings of the evaluation of one model."""
        shared = self._shared(EvaluateSettings) | {"criteria": self.all_criteria}
        return EvaluateSettings(model=model, seed=self.seeds[0], **shared)

    def costs(self, model: str) -> CostSettings:
        """The settings of the comparison of one model and its widths."""
        shared = self._shared(CostSettings) | {"models": (model,)}
        first, *others = self.seeds
        return CostSettings(
            criterion=self.all_criteria[0], seed=first, prompt_seeds=tuple(others), **shared
        )

    def _shared(self, kind: type) -> dict[str, Any]:
        """The settings that another kind of settings has by the same names."""
        names = {field.name for field in fields(self)} & {field.name for field in fields(kind)}
        return {name: getattr(self, name) for name in names}


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
