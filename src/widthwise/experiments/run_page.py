"""What the pages of all experiments have in common: their sections, and the settings of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import RunError
from ..findings import Table
from ..report import Block, Section, Sheet, format_value, join_values, provenance_section
from ..runs import RecordFormat

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW = 6  # seeds that are still listed one by one
_NAMES = {"widthwise": "version of widthwise", "data": "sha256 of the data"}
Settings = Mapping[str, Any]
ONE_SEED = (
    "There is one seed: how far another start and another order of the data would have led is not "
    "known, and no interval here holds it."
)
NO_SCORE = "No run came to an accuracy: see the failed runs."
NO_LIMIT = "The limit of infinite width was not run, so nothing is set beside it."


def run_sections(
    figure: Figure | None,
    caption: str,
    tables: Sequence[Table],
    *,
    method: Sequence[str],
    unknown: Sequence[str],
    settings: Sequence[tuple[str, str]],
    failed: Sequence[tuple[str, str]] = (),
    n_open: int = 1,
) -> tuple[Section, ...]:
    """The sections of a page of runs.

    Args:
        figure: Drawn by the same function as the command's own; None where nothing can be drawn.
        caption: Under the figure.
        tables: Every number.
        method: How it was measured, in sentences.
        unknown: What the runs do not say.
        settings: Name and value of each.
        failed: What failed runs are called, and the reason of each.
        n_open: How many of the tables are seen at once.
    """
    failures = Table(
        title="Failed runs",
        about="Failed runs and their reasons",
        header=("run", "reason"),
        rows=tuple(failed),
    )
    sheet = [] if figure is None else [Block(sheet=Sheet(figure=figure, caption=caption))]
    return (
        Section(key="figure", title="At a glance", link="Figure", blocks=sheet),
        Section(
            key="numbers",
            title="Every number",
            link="Every number",
            blocks=[Block(tables=tables, is_folded=True, n_open=n_open)],
        ),
        Section(
            key="failed",
            title="Failed runs",
            link="Failed runs",
            about="They have no number, and are in no mean.",
            blocks=[Block(tables=[failures], is_filtered=True)] if failed else [],
        ),
        _prose("method", "How this was measured", "Method", method),
        _prose("unknown", "What is not known", "What is not known", unknown),
        provenance_section([("", settings)]),
    )


def _prose(key: str, title: str, link: str, sentences: Sequence[str]) -> Section:
    blocks = [Block(sentences=sentences)] if sentences else []
    return Section(key=key, title=title, link=link, blocks=blocks)


Run = TypeVar("Run")


def comparable_runs(
    path: Path,
    line_format: RecordFormat[tuple[Run, dict[str, Any]]],
    shared: Callable[[Run, dict[str, Any]], Settings],
    *,
    command: str,
) -> tuple[list[tuple[Run, dict[str, Any]]], tuple[str, ...]]:
    """The runs of a file that may be set side by side, and a sentence on those that may not.

    Args:
        path: The file.
        line_format: Of its lines: runs with their settings.
        shared: What must be the same of all of them.
        command: The command that writes them.

    Raises:
        RunError: There are none, or a line is no run.
    """
    loaded = line_format.load(path).values()
    if not loaded:
        raise RunError(f"{path} holds no runs yet: run widthwise {command} first")
    conflicts = settings_conflicts([shared(run, settings) for run, settings in loaded])
    kept = [item for item, conflict in zip(loaded, conflicts, strict=True) if not conflict]
    odd = [conflict for conflict in conflicts if conflict]
    if not odd:
        return kept, ()
    names = ", ".join(dict.fromkeys(", ".join(odd).split(", ")))
    are = "run was" if len(odd) == 1 else "runs were"
    return kept, (
        f"{len(odd)} {are} made with another {names} than the last ones, and left out here.",
    )


def settings_conflicts(asked: Sequence[Settings]) -> list[str]:
    """For each run the settings in which it differs from the last ones, `""` where in none.

    Args:
        asked: What must be the same of all runs that are set side by side, in the order of the
            file; a setting that a run does not have is not compared.
    """
    last: dict[str, Any] = {}
    conflicts = []
    for settings in reversed(asked):
        odd = [name for name, value in settings.items() if last.get(name, value) != value]
        if not odd:
            last = {**settings, **last}
        conflicts.append(", ".join(name.replace("_", " ") for name in odd))
    return conflicts[::-1]


def setting_rows(
    kept: Sequence[tuple[str, Settings]], *, skip: Iterable[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Name and value of every setting of runs; where it differs, with the runs that have it.

    Args:
        kept: What each run is called, and its settings.
        skip: Settings that tables show.
    """
    hidden = set(skip)
    by_name: dict[str, dict[str, list[str]]] = {}
    for label, settings in kept:
        for name, value in settings.items():
            if name not in hidden:
                places = by_name.setdefault(name, {}).setdefault(format_value(value), [])
                if label not in places:
                    places.append(label)
    return tuple(
        (_NAMES.get(name, name.replace("_", " ")), join_values(values))
        for name, values in by_name.items()
    )


def seed_row(seeds: Iterable[int]) -> tuple[str, str]:
    """Which seeds there are.

    >>> seed_row([1, 0, 1]), seed_row(range(10))
    (('seeds', '0, 1'), ('seeds', '10, from 0 to 9'))
    """
    different = sorted(set(seeds))
    if len(different) > _FEW:
        return "seeds", f"{len(different)}, from {different[0]} to {different[-1]}"
    return "seeds", ", ".join(map(str, different))
