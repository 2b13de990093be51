"""`widthwise findings`: what falls, holds or rises with width, and what no interval carries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .json_output import json_option, print_json, wants_json
from .options import parse_points
from .prose import echo
from .tables import print_titled, print_wrapped, table_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..findings import Findings


@click.command()
@click.argument("study", type=click.Path(path_type=Path), required=False)
@click.option("--published", is_flag=True, help="Use the tables of arXiv 2512.22671.")
@click.option(
    "--loss",
    type=parse_points,
    default="2pp",
    metavar="PP",
    help=(
        "How many percentage points of right answers may be lost. For perplexities and bits it is "
        "always 5 %."
    ),
)
@json_option
def findings(study: Path | None, published: bool, loss: float) -> None:
    """Say which capabilities fall, hold or rise as a model is cut narrower.

    STUDY is the folder of a study, or its file of records. Every word is carried by a 95 %
    interval: trends above the floors (scores of answerers that understand nothing), knees, the
    smallest width within a loss, quality against cost, and which tasks move together.

    Example: widthwise findings my-study --loss 1pp
    """
    from ..findings import build_findings
    from ..findings.paper_2512_22671 import published as findings_of_published

    if published == (study is not None):
        raise click.UsageError("give the folder of a study, or --published")
    pending = 0
    if study is not None:
        from ..study import read_study

        stored = read_study(study)
        results = build_findings(stored.records, loss=loss)
        pending = stored.pending
    else:
        results = findings_of_published(loss=loss)
    if wants_json():
        print_json({"models": results, "pending": pending})
        return
    if pending:
        echo(f"Not finished: cells not measured yet: {pending}. So far:")
    _print(results)


def _print(results: Sequence[Findings]) -> None:
    """Each model's sentences first, then its tables."""
    console = table_console()
    for findings in results:
        print_wrapped(console, f"\n{findings.model}", style="bold")
        for sentence in findings.sentences:
            print_wrapped(console, f"- {sentence}")
        for table in findings.tables:
            title = f"\n{table.title}. {table.about}"
            print_titled(console, title, table.header, table.rows)
            for note in table.notes:
                print_wrapped(console, note, style="dim")
