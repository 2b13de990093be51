"""A file that is replaced whole: killed at any moment, its name holds the old one or the new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError

FAILURE = "{path} was not written: {error}"


def partial_path(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def replace_file(path: Path, *, shared: bool = False, failure: str = FAILURE) -> Iterator[Path]:
    """Yield a place to write a file to, which takes the place of `path` when the block ends well.

    Killed at any moment, `path` holds the old file or the new one, on disk.

    Args:
        path: The file.
        shared: Whether several processes may write it at once: each has a place of its own then.
            Else the place always has the same name, so that the next writer writes over what a
            killed one left.
        failure: The error's sentence, with `{path}` and `{error}` in it.

    Raises:
        OutputError: It cannot be written; the old file is still there.
    """
    partial = partial_path(path)
    if shared:
        partial = partial.with_name(f"{partial.name}-{os.getpid()}")
    try:
        try:
            yield partial
            flush(partial)
            partial.replace(path)
            flush(path.parent)
        finally:
            partial.unlink(missing_ok=True)  # nothing is there after the rename
    except OSError as error:
        raise OutputError(failure.format(path=path, error=error)) from error


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
