"""Locks on files and folders, by which processes keep out of each other's way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError, RunError

_NO_LOCKS = (
    "widthwise runs on Linux, and this system cannot lock files as Linux does (Python's module "
    "fcntl is missing); on Windows, run it inside WSL"
)
_LOOKS_SEC = 0.5  # between two looks whether a lock is free


def check_system() -> None:
    """Raise RunError where this system, as Windows, does not have what widthwise needs."""
    try:
        import fcntl  # noqa: F401
    except ImportError as error:
        raise RunError(_NO_LOCKS) from error


@contextmanager
def locked(
    path: Path,
    result: Path,
    *,
    if_held: str | Callable[[], None],
    is_folder: bool = False,
    is_optional: bool = False,
) -> Iterator[None]:
    """Hold a lock for this process alone while open.

    Args:
        path: The lock file, or with `is_folder` the folder that is locked; made where it is absent.
        result: The protected file or folder, as errors name it.
        if_held: The error's sentence where another process holds the lock; or what is called again
            and again until it is free.
        is_folder: Whether `path` is a folder.
        is_optional: Whether to go on without a lock on a file system that has none.

    Raises:
        OutputError: Another process holds the lock, or it cannot be made.
        RunError: This system has no locks.
    """
    descriptor = None
    while descriptor is None:
        try:
            descriptor = acquire(path, is_folder=is_folder, is_optional=is_optional)
        except BlockingIOError as error:
            if isinstance(if_held, str):
                raise OutputError(if_held) from error
            if_held()
            time.sleep(_LOOKS_SEC)
        except OSError as error:
            raise OutputError(f"{result} cannot be written: {error}") from error
    try:
        yield
    finally:
        os.close(descriptor)


def acquire(
    path: Path, *, is_folder: bool = False, is_optional: bool = False, wait: bool = False
) -> int:
    """A descriptor of a lock as in `locked`, which is held until the descriptor is closed.

    It is tried again where the last holder removed the file or the folder meanwhile. With `wait`,
    another process that holds the lock is waited for.

    Raises:
        BlockingIOError: Another process holds the lock, and `wait` is false.
        OSError: It cannot be made, or its file system has no locks.
        RunError: This system has no locks.
    """
    check_system()
    while True:
        descriptor = _opened(path, is_folder)
        if descriptor is None:
            continue
        is_held = False
        try:
            _lock(descriptor, wait=wait, is_optional=is_optional)
            is_held = _is_at(descriptor, path)
            if is_held:
                return descriptor
        finally:
            if not is_held:
                os.close(descriptor)


def _lock(descriptor: int, *, wait: bool, is_optional: bool) -> None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        if not is_optional:
            raise


def _opened(path: Path, is_folder: bool) -> int | None:
    """A descriptor of the file or the folder; None where it was removed as it was opened."""
    folder = path if is_folder else path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:  # also where a folder was removed while pathlib looked at it
        if folder.is_symlink() or folder.is_file():
            raise
        return None
    try:
        return os.open(path, os.O_RDONLY if is_folder else os.O_CREAT | os.O_RDWR, 0o666)
    except FileNotFoundError:
        if not is_folder and folder.exists():
            raise
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
