"""How far a command is that goes through a model layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..prune import Checkpoint, locate
from .show import TimeLeft, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..prune.calibrating import Visit

_LINES = 10  # at most, where there is no terminal


@contextmanager
def told_by_layers(console: Console, model: str, doing: str) -> Iterator[Visit]:
    """A bar over the layers; where there is no terminal a line first, and one each tenth of them.

    Args:
        console: To tell it on.
        model: Whose layers they are.
        doing: What is done: `"refitting"`.

    Yields:
        What is to be called with each layer that is done, in their order.
    """
    path, name = locate(model)
    with Checkpoint(path, name) as checkpoint:
        total = checkpoint.architecture.layers
    left = TimeLeft()
    if not console.is_terminal:
        console.print(doing, highlight=False, markup=False)
    with progress(console) as bar:
        task = bar.add_task(doing, total=total, left="")

        def tell(layer: int) -> None:
            done = layer + 1
            counted, time_left = f"{doing}: layer {done} of {total}", left(done / total)
            bar.update(task, completed=done, description=counted, left=time_left)
            is_due = _LINES * done // total > _LINES * layer // total
            if is_due and not console.is_terminal:
                line = ", ".join(filter(None, (counted, time_left)))
                console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield tell
