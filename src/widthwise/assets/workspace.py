"""Places in which something is built before it is moved, whole, to where it belongs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..locks import lock


@contextmanager
def locked_work(work: Path) -> Iterator[Path]:
    """Make the folder `work` and hold it for this process; empty at first, gone at the end.

    Another process waits here. A process that was killed leaves its folder behind, and its lock
    free: whoever takes the lock next finds the folder and empties it.
    """
    descriptor = _lock(work)
    try:
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(descriptor)


def _lock(work: Path) -> int:
    """Descriptor of the folder, locked; tried again where its last holder removed it meanwhile."""
    while True:
        try:
            work.mkdir(parents=True, exist_ok=True)
        except FileExistsError:  # also where a folder was removed while pathlib looked at it
            if work.exists() and not work.is_dir():
                raise
            continue
        try:
            descriptor = os.open(work, os.O_RDONLY)
        except FileNotFoundError:
            continue
        lock(descriptor, wait=True)
        try:
            if os.path.samestat(os.fstat(descriptor), work.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Force a folder and all in it to disk, so that the rename after it cannot come first."""
    for path in [*folder.rglob("*"), folder]:
        _flush(path)


def partial_of(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def replaced(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a place to write a file to, which takes the place of `path` when the block ends well.

    Killed at any moment, `path` holds the old file or the new one, on disk.

    Args:
        path: The file.
        shared: Whether several processes may write it at once: each has a place of its own then.
            Else the place always has the same name, so that the next writer writes over what a
            killed one left.

    Raises:
        OSError: It cannot be written; the old file is still there.
    """
    partial = partial_of(path)
    if shared:
        partial = partial.with_name(f"{partial.name}-{os.getpid()}")
    try:
        yield partial
        _flush(partial)
        partial.replace(path)
        _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)  # nothing is there after the rename


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
