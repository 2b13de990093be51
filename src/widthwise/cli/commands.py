"""Which commands there are; each is loaded when it is named, as all of them take a while."""

from __future__ import annotations

import os
from collections import UserDict
from contextlib import redirect_stderr
from functools import cache
from importlib import import_module

import click

SHORT_HELP = {  # of each command, which is the function of its name in the module of its name
    "abc": "Say what a parametrization does at infinite width.",
    "demo": "Measure MODEL at five widths, in minutes.",
    "evaluate": "Measure what MODEL knows, at any widths.",
    "export": "Write a checkpoint as a .gguf file.",
    "findings": "Say what falls, holds or rises as a model is cut narrower.",
    "heal": "Train CHILD to be like its dense parent.",
    "inspect": "Print exact costs, and check a refit or a healing.",
    "limit": "Set networks beside their infinite-width limits.",
    "maml": "Meta-train networks and their limit on Omniglot.",
    "measure": "Measure what MODELS cost to run, side by side.",
    "mup": "Carry learning rates over to another width (muP).",
    "plan": "Show the width; with -o, choose the neurons.",
    "prune": "Write MODEL cut to a width.",
    "report": "Draw the page of STUDIES, or of what another command ran.",
    "shrink": "Make MODEL fit, and say what it lost.",
    "study": "Measure MODELS at many widths: what they know and what they cost.",
    "tinynet": "Scale a small network to a budget, in resolution, depth and width.",
    "word2vec": "Train word2vec at several widths and in the limit.",
}


class Commands(UserDict[str, click.Command]):
    """The commands by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.data = dict.fromkeys(SHORT_HELP)  # type: ignore[assignment]  # none is loaded yet

    def __getitem__(self, name: str) -> click.Command:
        return _loaded(name) if name in SHORT_HELP else super().__getitem__(name)


@cache
def _loaded(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f".{name}", __package__), name)
    _add_quiet(command)
    return command


def _add_quiet(command: click.Command) -> None:
    """Give a command, or all of a group, the option `--quiet`."""
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _add_quiet(inner)
        return
    words = "Print results and errors alone: no progress, and no notes."
    option = click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        is_eager=True,  # as others may give notice of something
        expose_value=False,
        callback=_hush,
        help=words,
    )
    command.params.append(option)


def _hush(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Drop what goes to standard error until the command ends; why it failed is said after that."""
    if value:
        root = context.find_root()
        nowhere = root.with_resource(open(os.devnull, "w", encoding="utf8", errors="replace"))
        root.with_resource(redirect_stderr(nowhere))
