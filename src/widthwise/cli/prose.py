"""Sentences on a terminal, broken between words; a file or a pipe gets them as they are."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from typing import IO

import click

_BEGIN = re.compile(r" +\S+ {2,}|- | *")  # what the rest of a line stands beside


def echo(text: object, *, err: bool = False) -> None:
    """Print text, which is not to be taken over by other programs.

    Args:
        text: Lines.
        err: Whether they go to standard error.
    """
    click.echo(broken(str(text), sys.stderr if err else sys.stdout), err=err)


def broken(text: str, stream: IO[str]) -> str:
    """Lines that are as wide as a terminal at most, where a stream is one.

    What follows a label, as of `  got    width 1376 ...`, stays in its column. Words longer than a
    line, such as paths, are left whole.
    """
    if not stream.isatty():
        return text
    return _filled(text, _columns(stream))


def _columns(stream: IO[str]) -> int:
    """Of a terminal, or as `COLUMNS` says; 80 where neither does."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() else os.get_terminal_size(stream.fileno()).columns or 80


def _filled(text: str, width: int) -> str:
    """The lines of a text within a width.

    >>> print(_filled("  got    width 1376 of 1536, 2.389x of 2.667x", 24))
      got    width 1376 of
             1536, 2.389x of
             2.667x
    """
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * _indent(line, width),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def _indent(line: str, width: int) -> int:
    """Where a line goes on: below what its label is of, unless that leaves little of the width."""
    begin = _BEGIN.match(line)
    length = len(begin[0]) if begin else 0
    return length if 2 * length < width else 0
