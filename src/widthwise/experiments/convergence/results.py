"""Results of `widthwise limit converge` and `widthwise mup check` as lines of files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...io import from_plain
from ...runs import result_format

if TYPE_CHECKING:
    from ...mup import CoordinateCheck
    from ...theory import Convergence, PowerLawFit

Runs = tuple[tuple[float, ...], ...]  # of each width, and there of each seed


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


@dataclass(frozen=True, kw_only=True)
class CoordinatesLine:
    """A coordinate check as plain values; slopes are fitted anew. See `CoordinateCheck`."""

    title: str
    layers: tuple[str, ...]
    steps: int
    margin: float
    widths: tuple[int, ...]
    changes: tuple[Runs, ...]


def convergence_line(result: Convergence, seed: int) -> dict[str, Any]:
    """A case as a line of a file; `seed` is the first one."""
    case = result.case
    exponents = {n: tuple(map(str, getattr(case.parametrization, n))) for n in "abc"}
    line = ConvergenceLine(
        case=case.name,
        **exponents,
        activation=case.phi.name,
        lr=case.task.lr,
        steps=case.task.steps,
        widths=result.distance.widths,
        distances=_runs(result.distance),
        movements=_runs(result.movement),
        expected_slope=None if result.expected is None else str(result.expected),
        expected_movement_slope=str(result.expected_movement),
        limit_movement=result.limit_movement,
        limit_error=result.limit_error,
    )
    return {**asdict(line), "settings": {"first_seed": seed, "widthwise": __version__}}


def coordinates_line(
    result: CoordinateCheck, title: str, *, lr: float, seed: int
) -> dict[str, Any]:
    """A check, with its title, learning rate at the base width and first seed, as a line."""
    line = CoordinatesLine(
        title=title,
        layers=result.layers,
        steps=result.steps,
        margin=result.margin,
        widths=result.changes[0].widths,
        changes=tuple(map(_runs, result.changes)),
    )
    settings = {"learning_rate": lr, "first_seed": seed, "widthwise": __version__}
    return {**asdict(line), "settings": settings}


def load_convergences(path: Path) -> list[tuple[Convergence, dict[str, Any]]]:
    """The cases of a file, each with its settings.

    Raises:
        RunError: The file cannot be read, or a whole line is no case.
    """
    line_format = result_format(_convergence, key=lambda c: c.case.name, command="limit converge")
    return list(line_format.read(path))


def load_coordinates(path: Path) -> list[tuple[tuple[str, CoordinateCheck], dict[str, Any]]]:
    """The checks of a file, each with its title and its settings.

    Raises:
        RunError: The file cannot be read, or a whole line is no check.
    """
    line_format = result_format(_coordinates, key=lambda check: check[0], command="mup check")
    return list(line_format.read(path))


def _convergence(fields: dict[str, Any]) -> Convergence:
    from ...theory import Abc, Case, Convergence, activation, toy

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
        distance=_rate(line.widths, line.distances),
        expected=None if expected is None else Fraction(expected),
        movement=_rate(line.widths, line.movements),
        expected_movement=Fraction(line.expected_movement_slope),
        limit_movement=line.limit_movement,
        limit_error=line.limit_error,
    )


def _coordinates(fields: dict[str, Any]) -> tuple[str, CoordinateCheck]:
    from ...mup import CoordinateCheck

    line: CoordinatesLine = from_plain(CoordinatesLine, fields)
    if not len(line.layers) == len(line.changes) > 0:
        raise ValueError("every layer must have its changes")
    changes = tuple(_rate(line.widths, runs) for runs in line.changes)
    return line.title, CoordinateCheck(
        layers=line.layers, steps=line.steps, changes=changes, margin=line.margin
    )


def _runs(rate: PowerLawFit) -> Runs:
    return tuple(map(tuple, rate.runs.tolist()))


def _rate(widths: tuple[int, ...], runs: Runs) -> PowerLawFit:
    import numpy as np

    from ...theory import fit_rate

    if len(runs) != len(widths) or len({len(row) for row in runs}) != 1:
        raise ValueError("every width must have as many runs")
    return fit_rate(widths, np.array(runs, dtype=np.float64))
