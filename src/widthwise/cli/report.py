"""`widthwise report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import RunError
from .json_output import json_option, print_json, wants_json

if TYPE_CHECKING:
    from ..study import StoredStudy


def _page(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """A page is an .html file: records are not written over by a slip of the finger."""
    if value is not None and value.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{str(value)!r} is no page; name a file that ends in .html.")
    return value


@click.command(
    epilog="Example: widthwise report widthwise-evaluate healed -o before-and-after.html",
)
@click.argument("studies", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    callback=_page,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=(
        "File of the page. Default: report.html in the folder; for several studies, "
        "widthwise-report.html."
    ),
)
@click.option(
    "--published",
    is_flag=True,
    help="Draw the published curves of arXiv 2512.22671 beside these.",
)
@json_option
def report(studies: tuple[Path, ...], out: Path | None, published: bool) -> None:
    """Draw one HTML page of STUDIES: answer, figures, sortable tables, how it was measured.

    A STUDY is a folder that evaluate, measure, study or demo wrote, finished or not, or a file of
    records. The page needs no other file and no network. Of several studies, differences are
    shown where the same items were asked.

    What maml, word2vec, mup transfer, tinynet search, mup check and limit wrote has such a
    page too, each folder or file of records one of its own.
    """
    from ..experiments import detect_run_file, write_run_report
    from ..report import write_report
    from ..study import read_study

    places = tuple(dict.fromkeys(studies))
    page = out or _default(places)
    stored, failed = [], []
    for path in places:
        try:
            runs = detect_run_file(path)
            if runs is None:
                stored.append(read_study(path))
                continue
            if published:
                raise RunError(f"{path} holds runs of widthwise {runs.command}: drop --published")
            if len(places) > 1:
                raise RunError(
                    f"{path} holds runs of widthwise {runs.command}, which have a page of their "
                    "own: name it alone"
                )
            write_run_report(runs, page)
            return _tell(page)
        except RunError as error:
            failed.append(error)
    if not stored:
        raise failed[0]
    write_report(stored, page, published=published)
    _tell(page, stored)
    if failed:
        raise click.ClickException(f"left out: {'; '.join(map(str, failed))}")


def _tell(page: Path, studies: Sequence[StoredStudy] = ()) -> None:
    """Say where the page is, or what it shows of studies."""
    click.echo(f"report: {page}")
    if wants_json():
        from ..report import study_values

        print_json({"report": page, "models": study_values(studies)})


def _default(studies: tuple[Path, ...]) -> Path:
    if len(studies) > 1:
        return Path("widthwise-report.html")
    (study,) = studies
    return study / "report.html" if study.is_dir() else study.with_suffix(".html")
