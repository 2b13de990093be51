"""The command line: each command one file, each a few lines around library calls."""

from .main import main

__all__ = ["main"]
