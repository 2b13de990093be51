"""A file that is replaced whole: killed at any moment, its name holds the old one or the new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from .lock import acquire

FAILURE = "{path} was not written: {error}"


def partial_path(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def replace_file(
    path: Path, *, shared: bool = False, only_new: bool = False, failure: str = FAILURE
) -> Iterator[Path]:
    """Yield a place to write a file to, which takes the place of `path` when the block ends well.

    Killed at any moment, `path` holds the old file or the new one, on disk. The block writes into
    the file at that place, and puts no other file there.

    Args:
        path: The file, in a folder that exists.
        shared: Whether several processes may write it at once: each has a place of its own then.
            Else the place always has the same name, so that the next writer writes over what a
            killed one left, and a second writer at the same time is refused.
        only_new: Whether `path` must be absent, now and when the block ends.
        failure: The error's sentence, with `{path}` and `{error}` in it.

    Raises:
        OutputError: It cannot be written, is being written by another process, or is there and
            must not be; the old file is still there.
    """
    partial = partial_path(path)
    if shared:
        partial = partial.with_name(f"{partial.name}-{os.getpid()}")
    try:
        with _alone(partial, path):
            is_moved = False
            try:
                _refuse_there(path, only_new=only_new)
                yield partial
                flush(partial)
                _refuse_there(path, only_new=only_new)  # it may have appeared meanwhile
                partial.replace(path)
                is_moved = True  # what is at the place now is another writer's
                flush(path.parent)
            finally:
                if not is_moved:
                    partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(failure.format(path=path, error=error)) from error


@contextmanager
def _alone(partial: Path, path: Path) -> Iterator[None]:
    """Hold the file at the place as the only writer."""
    os.stat(os.path.join(partial.parent, "."))  # the folder is not made here
    try:
        descriptor = acquire(partial)
    except BlockingIOError as error:
        raise OutputError(f"{path} is being written by another process") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _refuse_there(path: Path, *, only_new: bool) -> None:
    if only_new and (path.exists() or path.is_symlink()):
        raise OutputError(f"{path} already exists; pass --force to replace it")


def check_new_file(path: Path, *, force: bool) -> None:
    """Raise OutputError unless a file can be written there.

    Its folder must exist, and `path` must be absent or, with `force`, a file.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"the folder of {path} does not exist; make it first")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another file")
    _refuse_there(path, only_new=not force)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written: {folder} cannot be written")


def write_text(path: Path, text: str, *, shared: bool = False, failure: str = FAILURE) -> None:
    """Write a text file, whole or not at all; arguments and errors are those of `replace_file`."""
    with replace_file(path, shared=shared, failure=failure) as partial:
        partial.write_text(text, encoding="utf8")


def flush(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
