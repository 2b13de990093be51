"""Locks on open files, by which processes keep out of each other's folders."""

from __future__ import annotations

from .errors import RunError

_NO_LOCKS = (
    "widthwise runs on Linux, and this system cannot lock files as Linux does (Python's module "
    "fcntl is missing); on Windows, run it inside WSL"
)


def check_system() -> None:
    """See that this system has what widthwise needs.

    Raises:
        RunError: It has not, as Windows.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError as error:
        raise RunError(_NO_LOCKS) from error


def lock(descriptor: int, *, wait: bool = False) -> None:
    """Lock an open file or folder for this process, until it is closed.

    Args:
        descriptor: Of the file.
        wait: Whether to wait while another process holds the lock.

    Raises:
        BlockingIOError: Another process holds it, and `wait` is false.
        OSError: Its file system has no locks.
        RunError: This system has none.
    """
    check_system()
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
