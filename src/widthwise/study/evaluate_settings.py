"""The settings of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PlanError, RunError
from ..evaluate import BACKENDS, CHAT, check_tasks, requested_tasks, require_vllm
from ..prune.calibration import BLOCK_TOKENS, TOKENS, check_source
from .variant import CONTROL, DEFAULT_CRITERIA, Variant, check_criterion, is_calibrated

CALIBRATION = ("calibration", "tokens")  # settings that matter to calibrated criteria alone


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """Everything that fixes the numbers of an evaluation; the same settings give the same cells.

    Attributes:
        model: Name or path of the model, as `resolve_model` takes it.
        tasks: Suites and tasks, as `load_tasks` takes them.
        widths: Expansion ratios (`"2.4x"`) or shares to remove (`"40%"`); the dense model is
            always measured.
        criteria: Criteria that choose neurons; `random`, the control, is always among them.
        limit: Items of each task at most.
        limits: Limits of single tasks, by name, in place of `limit`.
        seed: Seed of the samples of items and of the random criterion.
        dtype: None for the faster of bfloat16 and float32 on this machine.
        device: `"cpu"`, `"cuda"` ...; None for CUDA where there is one.
        data: Folder of documents; None for the hub.
        max_new_tokens: Cap on what a task has written; None for the task's own.
        thinking: Whether a model asked by its chat template is asked to think before it answers.
        until: Stop a task early when the interval of the difference from dense is this narrow to
            either side; None for all items.
        backend: `"widthwise"`, or lm-eval's own `"hf"` or `"vllm"`.
        calibration: Text that calibrated criteria use, as `calibrate` takes it: a file, a folder
            or a data set of the hub; None for the embedded one.
        tokens: Most tokens of it, half of them held out.
        prompts: Texts that every network goes on with, to be read; they change no number.

    Raises:
        RunError: No task, an unknown backend, or one that cannot take a calibrated criterion.
        PlanError, TargetError: A criterion is unknown or not one of a study, calibration text that
            no criterion uses, the seed is out of range, or a width cannot be read.
    """

    model: str = "smollm2"
    tasks: tuple[str, ...] = ("embedded",)
    widths: tuple[str, ...] = ()
    criteria: tuple[str, ...] = DEFAULT_CRITERIA
    limit: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    dtype: str | None = None
    device: str | None = None
    data: str | None = None
    max_new_tokens: int | None = None
    thinking: bool = False
    until: float | None = None
    backend: str = "widthwise"
    calibration: str | None = None
    tokens: int = TOKENS
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.tasks:
            raise RunError("a sweep must have at least one task or suite; got none")
        if self.backend not in BACKENDS:
            raise RunError(f"backend must be one of {', '.join(BACKENDS)}; got {self.backend!r}")
        if self.prompts and self.backend != BACKENDS[0]:
            raise RunError(f"backend {self.backend} goes on with no prompts: leave them out")
        if not all(prompt.strip() for prompt in self.prompts):
            raise RunError("a prompt must hold a word; got an empty one")
        for criterion in self.criteria:
            check_criterion(criterion, self.seed)
        for asked in self.widths:
            Variant(CONTROL, asked).target  # noqa: B018  read, so that it is looked at
        if isinstance(self.calibration, Path):
            object.__setattr__(self, "calibration", str(self.calibration))
        check_calibration(self.criteria, self.calibration, self.tokens)
        calibrated = [criterion for criterion in self.criteria if is_calibrated(criterion)]
        if calibrated and self.widths and self.backend == "vllm":
            raise RunError(
                f"backend vllm cannot measure {calibrated[0]}: write its checkpoint with widthwise "
                "prune, and evaluate that, or name a criterion of weights alone (--criterion ppm)"
            )

    @property
    def stored(self) -> dict[str, Any]:
        """The settings as a study keeps them: calibration text only where it has a say, and no
        prompts, which may be others each time."""
        settings = asdict(self)
        del settings["prompts"]
        return stored_settings(settings)

    def check(self) -> None:
        """Refuse what can be refused without the model and without documents.

        Raises:
            RunError: A task, a limit, calibration text or a package is not there, or no task is
                asked with a chat template by which a model could think.
        """
        if self.backend == "vllm":
            require_vllm()
        if self.widths and any(map(is_calibrated, self.criteria)):
            check_source(self.calibration, self.tokens)
        if self.thinking and not any(each.chat for each in requested_tasks(self.tasks)):
            raise RunError(
                f"--thinking needs a task that is asked with a chat template: add {CHAT} to a "
                "task's name, or drop --thinking"
            )
        check_tasks(self.tasks, self.limits, Path(self.data) if self.data else None)


def check_calibration(criteria: Sequence[str], text: str | None, tokens: int) -> None:
    """Raise an error when calibration text cannot be what it is said to be.

    Raises:
        PlanError: No criterion uses it.
        RunError: It has no name, or so many tokens cannot be taken of it.
    """
    if text is not None and not isinstance(text, str):
        raise RunError(f"calibration must be a file, a folder or a data set; got {text!r}")
    if type(tokens) is not int or tokens < 2 * BLOCK_TOKENS:
        raise RunError(f"tokens must be a number, at least {2 * BLOCK_TOKENS}; got {tokens!r}")
    if text is not None and not any(map(is_calibrated, criteria)):
        raise PlanError(
            "none of the criteria uses calibration text: name one that does, such as "
            "activation+refit, or drop --calibration and --tokens"
        )


def stored_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a study keeps them: calibration text only where a network needs it."""
    kept = dict(settings)
    if not kept["widths"] or not any(map(is_calibrated, kept["criteria"])):
        for name in CALIBRATION:
            del kept[name]
    return kept
