"""The page that a command writes beside its figure when its runs are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from .figure_options import check_writable


def save_page(folder: Path) -> None:
    """Write the page of the runs in a folder, and say where it is.

    Raises:
        RunError: They cannot be read.
        OutputError: The page cannot be written.
    """
    from ..experiments import detect_run_file, write_run_report

    runs = detect_run_file(folder)
    assert runs is not None  # the command has just written them
    page = folder / "report.html"
    write_run_report(runs, page)
    click.echo(f"report: {page}")


def check_beside(figure: Path | None, force: bool) -> None:
    """See, before any work, that a figure may be written, and records and a page beside it.

    Raises:
        OutputError: One of the files is there and may not be replaced, or the folder is not there.
    """
    for path in (None,) if figure is None else (figure, *_beside(figure)):
        check_writable(path, force)


def save_with_page(figure: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write what a figure shows as JSON lines, and their page, beside it.

    Both are said on the error stream, as the figure is: the output may be JSON.

    Raises:
        OutputError: A file cannot be written.
    """
    from ..experiments import detect_run_file, write_run_report
    from ..runs import write_lines

    records, page = _beside(figure)
    write_lines(records, lines)
    click.echo(f"records: {records}", err=True)
    runs = detect_run_file(records)
    assert runs is not None  # just written
    write_run_report(runs, page)
    click.echo(f"report: {page}", err=True)


def _beside(figure: Path) -> tuple[Path, Path]:
    return figure.with_suffix(".jsonl"), figure.with_suffix(".html")
