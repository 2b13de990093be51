"""Runs of `widthwise maml`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ... import __version__
from ...io import from_plain
from ...runs import append_line, read_lines

if TYPE_CHECKING:
    from .train import MamlResult, MamlSettings, MetaRecipe

Key: TypeAlias = tuple[str, "int | None", int]  # network, width, seed


def settings_of(settings: MamlSettings, recipe: MetaRecipe, data: str) -> dict[str, Any]:
    """What fixes a run's numbers beside network, width and seed; `data` is the file's sha256."""
    return {**asdict(settings), "recipe": asdict(recipe), "data": data, "widthwise": __version__}


def append(path: Path, result: MamlResult, settings: dict[str, Any]) -> None:
    """Add a run to the file; see `append_line`."""
    append_line(path, {**asdict(result), "settings": settings})


def load(path: Path) -> dict[Key, tuple[MamlResult, dict[str, Any]]]:
    """Whole runs of a file with their settings; see `read_lines`."""
    runs = read_lines(path, _result, "maml")
    return {(run.network, run.width, run.seed): (run, settings) for run, settings in runs}


def _result(found: dict[str, Any]) -> MamlResult:
    from .train import MamlResult, recipe_of

    run: MamlResult = from_plain(MamlResult, found)
    recipe_of(run.network, run.width)  # sees that there is such a network
    if (run.test is None) != (run.reason is not None):
        raise ValueError("a run is missing exactly when a reason is given")
    if run.test is not None and not 0 <= run.test.accuracy <= 1:
        raise ValueError(f"an accuracy must be from 0 to 1, not {run.test.accuracy:g}")
    return run
