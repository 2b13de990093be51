"""The command line, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from widthwise.cli import main


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])
