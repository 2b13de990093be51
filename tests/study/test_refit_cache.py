"""The cache of refits: who waits for another worker says so, and takes what that one made."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from widthwise.study.refit_cache import RefitCache


def test_who_waits_says_so_and_takes_what_the_other_made(tmp_path: Path) -> None:
    ours, theirs = RefitCache(tmp_path), RefitCache(tmp_path)
    order: list[str] = []

    def second() -> None:
        with theirs.held("x", lambda: order.append("waits")):
            order.append("second")

    with ours.held("x", lambda: order.append("first waits")):
        thread = threading.Thread(target=second)
        thread.start()
        while "waits" not in order:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert [o for o in order if o != "waits"] == ["first", "second"]
