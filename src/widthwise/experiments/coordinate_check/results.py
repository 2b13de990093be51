"""Results of `widthwise mup check` as lines of a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ... import __version__
from ...io import from_plain
from ...mup import Axis, CoordinateCheck
from ...runs import result_format
from ..power_laws import Runs, fitted_again, plain_runs


@dataclass(frozen=True, kw_only=True)
class CoordinatesLine:
    """A coordinate check as plain values; slopes are fitted anew. See `CoordinateCheck`."""

    title: str
    layers: tuple[str, ...]
    steps: int
    margin: float
    widths: tuple[int, ...]
    changes: tuple[Runs, ...]
    starts: tuple[Runs | None, ...] = field(default=(), metadata={"added_later": True})
    widening: tuple[bool, ...] = field(default=(), metadata={"added_later": True})
    axis: Axis = field(default="width", metadata={"added_later": True})


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
        changes=tuple(map(plain_runs, result.changes)),
        starts=tuple(None if start is None else plain_runs(start) for start in result.starts),
        widening=result.widening,
        axis=result.axis,
    )
    settings = {"learning_rate": lr, "first_seed": seed, "widthwise": __version__}
    return {**asdict(line), "settings": settings}


def _coordinates(fields: dict[str, Any]) -> tuple[str, CoordinateCheck]:
    line: CoordinatesLine = from_plain(CoordinatesLine, fields)
    if not len(line.layers) == len(line.changes) > 0:
        raise ValueError("every layer must have its changes")
    if line.starts and not len(line.layers) == len(line.starts) == len(line.widening):
        raise ValueError("every layer must have its size at the start")
    widths = line.widths
    return line.title, CoordinateCheck(
        layers=line.layers,
        steps=line.steps,
        changes=tuple(fitted_again(widths, runs) for runs in line.changes),
        margin=line.margin,
        starts=tuple(None if runs is None else fitted_again(widths, runs) for runs in line.starts),
        widening=line.widening,
        axis=line.axis,
    )


def load_coordinates(path: Path) -> list[tuple[tuple[str, CoordinateCheck], dict[str, Any]]]:
    """The checks of a file, each with its title and its settings.

    Raises:
        RunError: The file cannot be read, or a whole line is no check.
    """
    return list(_FORMAT.read(path))


_FORMAT = result_format(_coordinates, key=lambda check: check[0], command="mup check")
