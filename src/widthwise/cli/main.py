"""The command group, and how errors leave it."""

from __future__ import annotations

from typing import Any

import click

from .. import __version__
from ..errors import WidthwiseError
from .demo import demo
from .inspect import inspect
from .plan import plan
from .prune import prune


class _Commands(click.Group):
    """Expected errors become one line and exit code 1; unexpected ones keep their traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WidthwiseError as error:
            raise click.ClickException(" ".join(str(error).split())) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="widthwise")
def main() -> None:
    """How wide should this network be?

    Cut the GLU-MLP blocks of a language model to a chosen width, and see what it still knows.
    """


for _command in (demo, inspect, plan, prune):
    main.add_command(_command)
