"""Which commands there are; each is loaded when it is named, as all of them take a while."""

from __future__ import annotations

from collections import UserDict
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
        self.data = dict.fromkeys(SHORT_HELP)  # type: ignore[assignment]  # None until it is loaded

    def __getitem__(self, name: str) -> click.Command:
        if name in self and self.data[name] is None:
            self.data[name] = getattr(import_module(f".{name}", __package__), name)
        return super().__getitem__(name)
