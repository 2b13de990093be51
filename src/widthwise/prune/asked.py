"""What a plan or a refit is asked for, looked at before any model is."""

from __future__ import annotations

from pathlib import Path

from ..errors import PlanError, RunError
from .calibrating import Calibration, Source
from .checkpoint import stored_dtype
from .importance import MOMENT_CRITERIA
from .scoring import Selection, target_of
from .texts import TOKENS, check_source


def selection_of(
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
) -> Selection:
    """The selection that the arguments of `make_plan` and `refit` describe.

    Raises:
        TargetError, PlanError: One of them is out of range, whatever the model is.
    """
    return Selection(
        target=target_of(to=to, remove=remove, width=width, params=params, size=size),
        criterion=criterion,
        seed=seed,
        align=align,
        paper_widths=paper_widths,
        stored_dtype=stored_dtype(dtype),
    )


def check_text(source: Calibration | Source, tokens: int = TOKENS) -> None:
    """Refuse calibration text that is not there; moments and batches are looked at later.

    Raises:
        RunError: As `check_source`.
    """
    if source is None or isinstance(source, str | Path):
        check_source(source, tokens)


def check_calibration_of(
    criterion: str, source: Calibration | Source, tokens: int = TOKENS
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
