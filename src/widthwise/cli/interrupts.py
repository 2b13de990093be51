"""What is said where a user interrupts a command."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

NOTHING_KEPT = "interrupted; networks trained so far are not kept: the same command begins anew"
NOTHING_WRITTEN = "interrupted; nothing was written"
GOES_ON = "interrupted; the same command continues it"
RUNS_KEPT = f"{GOES_ON}: runs that have ended are kept, the one under way is not"
CHECKPOINT_KEPT = (
    f"{GOES_ON}: runs that have ended are kept, and the one under way up to its last checkpoint"
)


class Interrupted(click.ClickException):
    """What is said of an interruption; a further one then ends the process at once, silently.

    Otherwise it would end in a traceback, where libraries tidy up as Python exits.
    """

    def show(self, file: IO[Any] | None = None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        super().show(file)


@contextmanager
def interruption(message: str) -> Iterator[None]:
    """Say this in place of click's `Aborted!`; also decorates a whole command.

    Args:
        message: What is kept of the work so far, and that the same command continues it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(message) from None
