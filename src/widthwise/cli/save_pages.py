"""The page that a command writes beside its figure when its runs are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError, RunError
from ..runs import write_lines
from .figure_options import save_figure
from .options import check_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_page(runs: Path, page: Path | None = None) -> None:
    """Write the page of a file of runs, and say where it is.

    It is `report.html` next to them unless another place is named; that one is said on the error
    stream.

    Raises:
        RunError: They cannot be read.
        OutputError: The page cannot be written.
    """
    from ..experiments import detect_run_file, write_run_report

    found = detect_run_file(runs)
    assert found is not None  # the command has just written them
    place = page or runs.with_name("report.html")
    write_run_report(found, place)
    click.echo(f"report: {place}", err=page is not None)


def check_beside(figure: Path | None, force: bool, *, command: str) -> None:
    """See, before any work, that a figure may be written, and records and a page beside it.

    Args:
        figure: The file of the figure; None for none.
        force: Whether it may be replaced, with records and the page that the command put beside it.
        command: The command that writes them.

    Raises:
        OutputError: One of the files is there and may not be replaced, or the folder is not there.
    """
    if figure is None:
        return
    records, page = _beside(figure)
    for path in (figure, records, page):
        check_writable(path, force)
    others = [path for path in (records, page) if path.exists() and path.stat().st_size]
    if others and not _is_of(records, command):
        raise OutputError(
            f"{others[0]} would be written over, and is not of widthwise {command}; name another "
            "file with -o"
        )


def _is_of(records: Path, command: str) -> bool:
    """Whether a file holds what a command writes."""
    from ..experiments import detect_run_file

    try:
        found = detect_run_file(records)
    except (RunError, ValueError):
        return False
    return found is not None and found.command == command


def save_with_page(figure: Figure, path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a figure, and beside it what it shows as JSON lines, and their page.

    All are said on the error stream: the output may be JSON.

    Raises:
        OutputError: A file cannot be written.
    """
    save_figure(figure, path)
    records, page = _beside(path)
    write_lines(records, lines)
    click.echo(f"records: {records}", err=True)
    save_page(records, page)


def _beside(figure: Path) -> tuple[Path, Path]:
    return figure.with_suffix(".jsonl"), figure.with_suffix(".html")
