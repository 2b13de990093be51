"""Results of `widthwise limit converge` as lines of a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...io import from_plain
from ...runs import result_format
from ...theory import Abc, Array, Case, Convergence, activation, toy
from ..power_laws import Runs, fitted_again, plain_runs


@dataclass(frozen=True, kw_only=True)
class ConvergenceLine:
    """A case as plain values; slopes are fitted anew when it is read. See `Convergence`."""

    case: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    c: tuple[str, ...]
    activation: str
    lr: float
    steps: int
    widths: tuple[int, ...]
    distances: Runs
    movements: Runs
    expected_slope: str | None
    expected_movement_slope: str
    limit_movement: float
    limit_error: float
    limit_movements: Runs | None = field(default=None, metadata={"added_later": True})


def convergence_line(result: Convergence, seed: int, *, by_step: bool = False) -> dict[str, Any]:
    """A case as a line of a file.

    Args:
        seed: The first one.
        by_step: Whether the line has the limit's movement after each step.
    """
    moved = result.limit_movements if by_step else None
    case = result.case
    exponents = {n: tuple(map(str, getattr(case.parametrization, n))) for n in "abc"}
    line = ConvergenceLine(
        case=case.name,
        **exponents,
        activation=case.phi.name,
        lr=case.task.lr,
        steps=case.task.steps,
        widths=result.distance.widths,
        distances=plain_runs(result.distance),
        movements=plain_runs(result.movement),
        expected_slope=None if result.expected is None else str(result.expected),
        expected_movement_slope=str(result.expected_movement),
        limit_movement=result.limit_movement,
        limit_error=result.limit_error,
        limit_movements=None if moved is None else tuple(map(tuple, moved.tolist())),
    )
    return {**asdict(line), "settings": {"first_seed": seed, "widthwise": __version__}}


def _convergence(fields: dict[str, Any]) -> Convergence:
    line: ConvergenceLine = from_plain(ConvergenceLine, fields)
    case = Case(
        name=line.case,
        parametrization=Abc(**{n: tuple(map(Fraction, getattr(line, n))) for n in "abc"}),
        phi=activation(line.activation),
        task=toy(lr=line.lr, steps=line.steps),
    )
    expected = line.expected_slope
    return Convergence(
        case=case,
        distance=fitted_again(line.widths, line.distances),
        expected=None if expected is None else Fraction(expected),
        movement=fitted_again(line.widths, line.movements),
        expected_movement=Fraction(line.expected_movement_slope),
        limit_movement=line.limit_movement,
        limit_error=line.limit_error,
        limit_movements=_movements(line),
    )


def _movements(line: ConvergenceLine) -> Array | None:
    """The limit's movement by step and layer.

    Raises:
        ValueError: Not every step has as many layers.
    """
    if line.limit_movements is None:
        return None
    sizes = {len(row) for row in line.limit_movements}
    if len(line.limit_movements) != line.steps + 1 or len(sizes) != 1:
        raise ValueError("every step must have the movement of every layer")
    return np.array(line.limit_movements, dtype=np.float64)


def load_convergences(path: Path) -> list[tuple[Convergence, dict[str, Any]]]:
    """The cases of a file, each with its settings.

    Raises:
        RunError: The file cannot be read, or a whole line is no case.
    """
    return list(_FORMAT.read(path))


_FORMAT = result_format(_convergence, key=lambda c: c.case.name, command="limit converge")
