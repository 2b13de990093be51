"""Runs of `widthwise word2vec` as lines of a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .run_lines import append_line, read_lines

if TYPE_CHECKING:
    from ..limits.word2vec import Result

Key: TypeAlias = tuple[str, "int | None", int]  # network, width, seed


def append(path: Path, result: Result, settings: dict[str, Any]) -> None:
    """Add a run to the file; see `append_line`."""
    append_line(path, {**asdict(result), "settings": settings})


def load(path: Path) -> dict[Key, tuple[Result, dict[str, Any]]]:
    """Whole runs of a file with their settings; see `read_lines`."""
    runs = read_lines(path, _result)
    return {(run.network, run.width, run.seed): (run, settings) for run, settings in runs}


def _result(found: dict[str, Any]) -> Result:
    from ..limits.word2vec import Result, Score

    if found["score"] is not None:
        score = Score(**found["score"])
        sections = tuple((str(a), int(b), int(c)) for a, b, c in score.sections)
        found["score"] = Score(**{**vars(score), "sections": sections})
        if not len(score.bits()) == score.asked > 0:
            raise ValueError("its outcomes are not those of its questions")
    found["curve"] = tuple((float(a), float(b)) for a, b in found["curve"])
    return Result(**found)
