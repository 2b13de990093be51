"""Notices: what a user should know before the work begins, and what no result is changed by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger("widthwise")


def notice(text: str) -> None:
    """Give a notice of one sentence; a library user sees it by logging `widthwise` at INFO."""
    _LOG.info(text)


@contextmanager
def shown(write: Callable[[str], object]) -> Iterator[None]:
    """Have every notice written while open, each text once.

    Args:
        write: Called with the text.
    """
    handler = _Once(write)
    level = _LOG.level
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        _LOG.removeHandler(handler)
        _LOG.setLevel(level)


class _Once(logging.Handler):
    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__(logging.INFO)
        self._write = write
        self._written: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._written:
            self._written.add(text)
            self._write(text)
