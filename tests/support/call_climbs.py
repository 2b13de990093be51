"""Calls that climb: from a room into one later in the order of imports, for an answer.

Imports cannot climb (`tests/test_imports.py`), so what is called was passed down. A call that
returns None is a report of progress, and does not count.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from room_order import ORDER

import widthwise

PACKAGE = f"{Path(widthwise.__file__).parent}/"


def _inside(frame: FrameType) -> str:
    """Path of a frame's file inside the package, or "" for a file of another."""
    path = frame.f_code.co_filename
    return path.removeprefix(PACKAGE) if path.startswith(PACKAGE) else ""


def _place(path: str) -> int:
    """Place of a file's room in the order; -1 for a file of none."""
    room = path.partition("/")[0].removesuffix(".py")
    return ORDER.index(room) if room in ORDER else -1


@contextmanager
def climbing_calls() -> Iterator[set[str]]:
    """The set that is filled, while open, with `"lower.py calls higher.py: function"`."""
    climbs: set[str] = set()

    def watch(frame: FrameType, event: str, answer: Any) -> None:
        if event != "return" or answer is None or not (callee := _inside(frame)):
            return
        if frame.f_code.co_name == "<genexpr>":  # an iterable that was passed, not a function
            return
        caller = frame.f_back
        while caller is not None and not _inside(caller):
            caller = caller.f_back
        path = _inside(caller) if caller is not None else ""
        lower, higher = _place(path), _place(callee)
        if 0 <= lower < higher:
            climbs.add(f"{path} calls {callee}: {frame.f_code.co_name}")

    before = sys.getprofile()
    sys.setprofile(watch)
    threading.setprofile(watch)
    try:
        yield climbs
    finally:
        sys.setprofile(before)
        threading.setprofile(None)
