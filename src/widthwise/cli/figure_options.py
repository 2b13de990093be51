"""Figures that commands write to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..io import replace_file
from .options import Decorator, force_option, together

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SUFFIXES = (".png", ".svg", ".pdf")


def drawing_options(what: str) -> Decorator:
    """`-o` and `--force` of a command that draws."""
    return together(
        click.option(
            "-o",
            "--out",
            callback=_drawing,
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help=f"{what} .png or .svg.",
        ),
        force_option,
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure, whole or not at all.

    Raises:
        OutputError: The place cannot be written.
    """
    with replace_file(path, failure="cannot write the figure {path}: {error.strerror}") as partial:
        figure.savefig(partial, format=path.suffix[1:].lower(), dpi=150)
    click.echo(f"figure: {path}", err=True)


def _drawing(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() not in _SUFFIXES:
        raise click.BadParameter(f"{str(value)!r} must end in .png, .svg or .pdf")
    return value
