"""Something done again and again beside the work, from a thread that sleeps in between."""

from __future__ import annotations

import threading
from collections.abc import Callable


def run_periodically(
    sample: Callable[[], None], interval_sec: float, *, name: str
) -> Callable[[], None]:
    """Call `sample` every `interval_sec` from a thread, until the returned function is called."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(interval_sec):
            sample()

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end
