"""The settings of a comparison of costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import measure
from ..errors import RunError
from .variant import Variant

_STEPS = (4, 8, 16, 64, 128)  # multiples that kernels and their tiles care for


@dataclass(frozen=True, kw_only=True)
class CostSettings:
    """Everything that fixes the numbers of a comparison.

    Attributes:
        models: Names or paths of the models, as `resolve_model` takes them; ratios are to the
            first.
        widths: Expansion ratios (`"2.4x"`), shares to remove (`"40%"`) or neurons (`"7373"`) that
            each model is cut to as well.
        criterion: Criterion that chooses neurons; a cost is the same whichever it chooses. Where it
            needs calibration text, `ppm` chooses in its place, and records say so.
        around: This width and its neighbours, as far as each model is wider, and all GLU blocks
            alone as well; None for none.
        workloads: Workloads, as `measure.workloads_of` takes them.
        rounds: Rounds of each workload, at least 5.
        seed: Seed of prompts and of the order of models.
        prompt_seeds: Further ones, of the prompts of the paper's workloads alone; such a workload
            is another one, and called `hellaswag-b1~123`.
        data: Folder of the documents of the paper's workloads; None for the hub.
        energy: Whether joules are measured where there is a meter, 6 s for each round.
        country: Country whose electricity gives joules their CO2 (`"FRA"`); None for no CO2.
        dtype: None for the faster of bfloat16 and float32 on this machine.
        device: `"cpu"`, `"cuda"` ...; None for CUDA where there is one.

    Raises:
        RunError: No model, a model twice, no workload, one that cannot be read, too few rounds, or
            a country without energy.
        TargetError: A width cannot be read.
    """

    models: tuple[str, ...]
    widths: tuple[str, ...] = ()
    criterion: str = "ppm"
    around: int | None = None
    workloads: tuple[str, ...] = ("512x32",)
    rounds: int = measure.LEAST_ROUNDS
    seed: int = 0
    prompt_seeds: tuple[int, ...] = ()
    data: str | None = None
    energy: bool = True
    country: str | None = None
    dtype: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        check_turns("model", self.models, self.workloads, self.rounds)
        if self.country is not None and not self.energy:
            raise RunError(
                f"CO2 of {self.country} is computed from energy, which is switched off: measure "
                "energy, or drop --country"
            )
        for name in self.workloads:
            measure.check_workload(name)
        for asked in self.widths:
            Variant(self.criterion, asked).target  # noqa: B018  read, so that it is looked at


def check_turns(what: str, models: Sequence[str], workloads: Sequence[str], rounds: int) -> None:
    """Raise RunError unless there is one of `what` or more, each once, and enough to time."""
    if not models or len(set(models)) < len(models):
        given = ", ".join(models) or "none"
        raise RunError(f"give one {what} or more, each once; got {given}")
    if rounds < measure.LEAST_ROUNDS or not workloads:
        raise RunError(
            f"costs need at least {measure.LEAST_ROUNDS} rounds and one workload; got {rounds} and "
            f"{len(workloads)}"
        )


def neighbour_widths(width: int) -> tuple[int, ...]:
    """A width and its neighbours: the multiples of 4, 8, 16, 64 and 128 just below and above.

    >>> neighbour_widths(7373)
    (7296, 7360, 7368, 7372, 7373, 7376, 7424)
    """
    near = {width // step * step for step in _STEPS} | {-(-width // step) * step for step in _STEPS}
    return tuple(sorted(w for w in near | {width} if w > 0))
