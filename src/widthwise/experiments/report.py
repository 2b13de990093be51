"""The page of runs: one HTML file with everything in it."""

from __future__ import annotations

import re
from pathlib import Path

from .. import __version__
from ..report import ExperimentPage, rendered, standalone_svg_uri, text_table, to_svg, write_whole
from .run_files import RunFile


def write_run_report(runs: RunFile, path: Path) -> None:
    """Write the page of one file of runs; an existing file is replaced in one step.

    The page needs no other file and no network. The same records give the same bytes.

    Args:
        runs: As of `detect_run_file`.
        path: The HTML file; its folder must exist.

    Raises:
        RunError: The file holds what is no run of its kind.
        OutputError: The page cannot be written.
    """
    write_whole(path, _rendered(runs.page(runs.path)))


def _unbroken(text: str) -> str:
    """An interval stays on one line, and so does a number with its per cent sign."""
    return re.sub(r" %|\[[^]]*\]", lambda found: found[0].replace(" ", "\u00a0"), text)


def _rendered(page: ExperimentPage) -> str:
    svg = svg_file = ""
    if page.figure is not None:
        said = " ".join(page.answer)
        svg = to_svg(page.figure, name="runs", title=page.title, description=said)
        svg_file = standalone_svg_uri(svg, ())
    failed = None
    if page.failed:
        about = "Failed runs and their reasons"
        failed = text_table("failed-runs", about, ["run", "reason"], page.failed)
    return rendered(
        "runs.html",
        title=page.title,
        page=page,
        answer=tuple(map(_unbroken, page.answer)),
        svg=svg,
        svg_file=svg_file,
        failed=failed,
        version=__version__,
    )
