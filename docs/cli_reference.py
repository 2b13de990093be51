"""Write docs/cli.md: the help of every command. A test fails when the file is stale."""

from __future__ import annotations

from pathlib import Path

import click

from widthwise.cli import main

TARGET = Path(__file__).parent / "cli.md"


def reference() -> str:
    """The whole page as Markdown."""
    parts = ["# Command line", "", "Made by `make docs` from the commands' own help.", ""]
    for name, command in [("widthwise", main), *sorted(main.commands.items())]:
        path = name if command is main else f"widthwise {name}"
        context = click.Context(command, info_name=path, terminal_width=80, **main.context_settings)
        parts += [f"## {path}", "", "```", command.get_help(context), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf8")
