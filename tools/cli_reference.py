"""Write docs/cli.md: the help of every command. A test fails when the file is stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from widthwise.cli import main

_PREFACE = """# Command line

Made by `make docs` from the commands' own help, below.

## In a terminal and in scripts

| exit code | meaning |
|---|---|
| 0 | All that was asked for is done. |
| 1 | It is not done, or not all of it, or it was interrupted. The last line of errors says why. |
| 2 | The command is typed wrongly: an option is unknown, missing or contradicts another one. |

Results are on standard output; progress, notes and errors are on standard error. On a terminal,
tables are as wide as it is: columns that do not fit side by side follow below. In a file or a pipe,
lines are not broken, and in place of bars there are lines with the time that is left. `NO_COLOR=1`
switches colours off. For scripts there is `--quiet`, by which standard error has errors alone; some
commands have `--json`, and studies have `records.jsonl`.

To have the tab key complete commands, options, models and files, add a line to the file that your
shell reads at its start:

```sh
eval "$(_WIDTHWISE_COMPLETE=bash_source widthwise)"    # bash: ~/.bashrc
eval "$(_WIDTHWISE_COMPLETE=zsh_source widthwise)"     # zsh: ~/.zshrc
_WIDTHWISE_COMPLETE=fish_source widthwise | source     # fish: ~/.config/fish/config.fish
```
"""
TARGET = Path(__file__).parents[1] / "docs" / "cli.md"


def reference() -> str:
    """The whole page as Markdown."""
    parts = [_PREFACE]
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
