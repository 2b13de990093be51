"""A bar on the terminal with the time that is left; where there is no terminal, lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .interrupts import GOES_ON, interruption

if TYPE_CHECKING:
    from ..prune.calibration import LayerCallback

_LINES = 10  # of layers where there is no terminal, and one each of the first ones
_FIRST = 2  # layers, after which the pace is known
_SILENT_SEC = 60.0  # without a line, where there is no terminal, before one says how far it is


@contextmanager
def progress_bar(interrupted: str = GOES_ON) -> Iterator[ProgressBar]:
    """Show a bar on the error stream; an interruption ends the command with a sentence."""
    console = Console(stderr=True)
    with interruption(interrupted), progress(console) as bars:
        yield ProgressBar(console, bars)


@contextmanager
def layer_progress(console: Console, layers: int, doing: str) -> Iterator[LayerCallback]:
    """A bar over the layers of a model; where there is no terminal, lines.

    One stands before all work, which begins with a model to load and a text to read; one follows
    each of the first two layers, then one each tenth, all with the time that is left. After one
    layer alone that is the most it may be, as the loading counts as well.

    Args:
        console: Where it is printed.
        layers: How many layers there are.
        doing: What is done: `"refitting"`.

    Yields:
        What is to be called with each layer that is done, in their order.
    """
    with progress(console) as bars:
        bar = ProgressBar(console, bars, Eta(time.monotonic()))
        bar.say(f"{doing}, {layers} layers: the text is read first, and every layer tried")
        bar.move(0.0, f"{doing}: loading")

        def tell(layer: int) -> None:
            done = layer + 1
            counted = f"{doing}: {done} of {layers} layers"
            bar.move(done / layers, counted)
            if done <= _FIRST or _LINES * done // layers > _LINES * layer // layers:
                bar.say(counted, bar.left)

        yield tell


def hush_transformers() -> None:
    """Have transformers show no bars of its own: ours is the one to look at."""
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar
    quiet()


class ProgressBar:
    """A bar for the whole work of a command, and lines that stay above it.

    Attributes:
        left: The time that is left, in words; "" where it is not known yet.
    """

    def __init__(self, console: Console, bars: Progress, eta: Eta | None = None) -> None:
        self.console = console
        self.bars = bars
        self.left = ""
        self._eta = eta or Eta()
        self._task = bars.add_task("preparing", total=1.0, left="")
        self._said_sec = time.monotonic()

    def update(self, share: float, label: str) -> None:
        """Show which share of the work is done, 0 to 1, and what is being done; where there is no
        terminal, in a line once a minute."""
        self.move(share, label)
        if 0 < share < 1 and time.monotonic() - self._said_sec > _SILENT_SEC:
            self.say(label, f"{share:.0%} done".replace("%", " %"), self.left)

    def move(self, share: float, label: str) -> None:
        """Show it on the bar alone."""
        self.left = self._eta(share)
        self.bars.update(self._task, completed=share, description=escape(label), left=self.left)

    def tell(self, share: float, label: str) -> None:
        """As `update`; where there is no terminal, what begins gets a line."""
        if share == 0:
            self.say(label)
        self.update(share, label)

    def describe(self, label: str) -> None:
        """Say what is being done before any share is, in a line too where there is no terminal."""
        self.say(label)
        self.bars.update(self._task, description=escape(label))

    def say(self, *parts: str) -> None:
        """Print a line where there is no terminal to show a bar."""
        if not self.console.is_terminal:
            self.print(", ".join(filter(None, parts)))

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        self._said_sec = time.monotonic()
        is_whole = not self.console.is_terminal  # no edge to break lines at
        self.console.print(text, highlight=False, markup=False, soft_wrap=is_whole)

    def results(self, describe: Callable[[Any], str]) -> dict[str, Callable[..., None]]:
        """The callbacks of a run of results, of which each is a line in these words."""
        return {
            "on_result": lambda label, result: self.print(f"{label}: {describe(result)}"),
            "on_progress": self.update,
        }


def progress(console: Console) -> Progress:
    """A bar with what is being done, and the time that has gone and that is left."""
    return Progress(
        TextColumn("{task.description:32}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        disable=not console.is_terminal,  # there, lines tell how far it is
    )


class Eta:
    """Time left in words, from the pace since the first measurement of this very run.

    Args:
        began: When the work began, on the monotonic clock; by it the first measurement tells how
            long it may take at most. None tells nothing before the second one.
    """

    def __init__(self, began: float | None = None) -> None:
        self._first: tuple[float, float] | None = None
        self._began = began

    def __call__(self, share: float) -> str:
        now = time.monotonic()
        if self._first is None or not share:
            self._first = (now, share) if share else None
            if self._began is None or not 0 < share < 1:
                return ""
            return f"up to {_left((now - self._began) * (1 - share) / share)}"
        start, before = self._first
        if share - before < 0.005:
            return ""
        return _left((now - start) * (1 - share) / (share - before))


def _left(seconds: float) -> str:
    return f"{int(seconds // 60)} min {int(seconds % 60):02} s left"
