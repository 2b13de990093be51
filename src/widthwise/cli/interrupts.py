"""What is said where a user interrupts a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

NOTHING_KEPT = "interrupted; networks trained so far are not kept: the same command begins anew"
GOES_ON = "interrupted; the same command continues it"
RUNS_KEPT = f"{GOES_ON}: runs that have ended are kept, the one under way is not"
CHECKPOINT_KEPT = (
    f"{GOES_ON}: runs that have ended are kept, and the one under way up to its last checkpoint"
)


@contextmanager
def interruption(message: str) -> Iterator[None]:
    """Say this in place of click's `Aborted!`; also decorates a whole command.

    Args:
        message: What is kept of the work so far, and that the same command continues it.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(message) from None
