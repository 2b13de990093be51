"""How far a command is that goes through a model layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .progress_bar import Eta, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..prune.calibration import LayerCallback

_LINES = 10  # where there is no terminal, and one each of the first layers
_FIRST = 2  # layers, after which the pace is known


@contextmanager
def layer_progress(console: Console, layers: int, doing: str) -> Iterator[LayerCallback]:
    """A bar over the layers; where there is no terminal, lines.

    One stands before all work, which begins with a model to load and a text to read; one follows
    each of the first two layers, the second with the time that is left; then one each tenth.

    Args:
        console: Where it is printed.
        layers: How many layers there are.
        doing: What is done: `"refitting"`.

    Yields:
        What is to be called with each layer that is done, in their order.
    """
    left = Eta()
    if not console.is_terminal:
        start = f"{doing}, {layers} layers: the model is loaded first, and the text read"
        console.print(start, highlight=False, markup=False, soft_wrap=True)
    with progress(console) as bar:
        task = bar.add_task(f"{doing}: loading", total=layers, left="")

        def tell(layer: int) -> None:
            done = layer + 1
            counted, time_left = f"{doing}: layer {done} of {layers}", left(done / layers)
            bar.update(task, completed=done, description=counted, left=time_left)
            is_due = done <= _FIRST or _LINES * done // layers > _LINES * layer // layers
            if is_due and not console.is_terminal:
                line = ", ".join(filter(None, (counted, time_left)))
                console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield tell
