"""Runs of `widthwise word2vec`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...io import from_plain
from ...runs import append_line, read_lines

if TYPE_CHECKING:
    from .training import Word2vecResult

Key: TypeAlias = tuple[str, "int | None", int]  # network, width, seed


def append(path: Path, result: Word2vecResult, settings: dict[str, Any]) -> None:
    """Add a run to the file; see `append_line`."""
    append_line(path, {**asdict(result), "settings": settings})


def load(path: Path) -> dict[Key, tuple[Word2vecResult, dict[str, Any]]]:
    """Whole runs of a file with their settings; see `read_lines`."""
    runs = read_lines(path, _result, "word2vec")
    return {(run.network, run.width, run.seed): (run, settings) for run, settings in runs}


def _result(found: dict[str, Any]) -> Word2vecResult:
    from .networks import check_network
    from .training import Word2vecResult

    run: Word2vecResult = from_plain(Word2vecResult, found)
    check_network(run.network, run.width)
    if (run.score is None) != (run.reason is not None):
        raise ValueError("a run is missing exactly when a reason is given")
    if run.score is not None:
        bits = run.score.bits()
        if not len(bits) == run.score.asked > 0 or bits.sum() != run.score.right:
            raise ValueError("its outcomes are not those of its questions")
    return run
