"""Write docs/cli.md: the help of every command. A test fails when the file is stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from widthwise.cli import main

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"


def reference() -> str:
    """The whole page as Markdown."""
    parts = ["# Command line", "", "Made by `make docs` from the commands' own help.", ""]
    for path, command in _commands("widthwise", main):
        context = click.Context(command, info_name=path, terminal_width=80, **main.context_settings)
        parts += [f"## {path}", "", "```", command.get_help(context), "```", ""]
    return "\n".join(parts)


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and, of a group, all commands in it, each with what is typed to call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield from _commands(f"{path} {name}", inner)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf8")
