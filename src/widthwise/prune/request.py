"""What a plan or a refit is asked for, looked at before any model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..arch import Target, check_rounding
from ..errors import PlanError, TargetError
from .criteria import CRITERIA, MOMENT_CRITERIA

if TYPE_CHECKING:
    pass

from pathlib import Path

from ..cut.checkpoint import stored_dtype
from ..errors import RunError
from .calibration.second_moments import Calibration, TextSource
from .calibration.text import TOKENS, check_source


def resolve_target(**asked: str | float | None) -> Target:
    """The one target among `to`, `remove`, `width`, `params` and `size` that is not None.

    >>> resolve_target(to="2.4x", width=None)
    Target(kind='to', text='2.4x')
    """
    given = [(kind, value) for kind, value in asked.items() if value is not None]
    if len(given) != 1:
        names = ", ".join(f"--{kind}" for kind in asked)
        raise TargetError(f"a width must be asked for in exactly one way: {names}")
    kind, value = given[0]
    return Target(kind, str(value))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class PruneSpec:
    """What is asked of a plan.

    Attributes:
        target: The width asked for.
        criterion: One of `CRITERIA` or `MOMENT_CRITERIA`.
        seed: Of the `random` criterion.
        align: Multiple to round the width down to; None for the default of the model, 1 for none.
        paper_widths: Use the paper's rule for the width.
        stored_dtype: safetensors name of the dtype that a `size` target is meant in.

    Raises:
        PlanError: Unknown criterion.
        TargetError: An alignment below 1, or the paper's rule for another target than `remove`.
    """

    target: Target
    criterion: str = "ppm"
    seed: int = 0
    align: int | None = None
    paper_widths: bool = False
    stored_dtype: str | None = None

    def __post_init__(self) -> None:
        if self.criterion not in (*CRITERIA, *MOMENT_CRITERIA):
            known = ", ".join((*CRITERIA, *MOMENT_CRITERIA))
            raise PlanError(f"criterion must be one of {known}; got {self.criterion!r}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**31:
            raise PlanError(f"seed must be a whole number in [0, 2^31); got {self.seed!r}")
        check_rounding(self.target, self.align, self.paper_widths)


def spec_of(
    *,
    to: str | float | None = None,
    remove: str | None = None,
    width: int | None = None,
    params: str | int | None = None,
    size: str | int | None = None,
    criterion: str = "ppm",
    seed: int = 0,
    align: int | None = None,
    paper_widths: bool = False,
    dtype: str | None = None,
) -> PruneSpec:
    """The selection that the arguments of `make_plan` and `refit` describe.

    Raises:
        TargetError, PlanError: One of them is out of range, whatever the model is.
    """
    return PruneSpec(
        target=resolve_target(to=to, remove=remove, width=width, params=params, size=size),
        criterion=criterion,
        seed=seed,
        align=align,
        paper_widths=paper_widths,
        stored_dtype=stored_dtype(dtype),
    )


def check_text(source: Calibration | TextSource, tokens: int = TOKENS) -> None:
    """Refuse calibration text that is not there; moments and batches are looked at later.

    Raises:
        RunError: As `check_source`.
    """
    if source is None or isinstance(source, str | Path):
        check_source(source, tokens)


def check_calibration_of(
    criterion: str, source: Calibration | TextSource, tokens: int = TOKENS
) -> None:
    """Refuse calibration text that a plan by this criterion cannot use, of a model on disk.

    Raises:
        PlanError: The criterion takes none, or must have some.
        RunError: It is not there.
    """
    if criterion in MOMENT_CRITERIA:
        check_text(source, tokens)
    elif source is not None and not isinstance(source, str | Path):
        raise PlanError(f"criterion {criterion} takes no calibration but a text file")
    elif criterion != "ppm_activation" and source is not None:
        raise PlanError(f"criterion {criterion} looks at weights only; drop the calibration text")
    elif criterion == "ppm_activation" and source is None:
        raise PlanError(
            f"criterion {criterion} needs activation norms; pass --calibration FILE (text)"
        )
    elif source is not None and not Path(source).is_file():
        raise RunError(f"{source}: no such file of text")
