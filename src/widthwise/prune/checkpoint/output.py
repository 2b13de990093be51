"""A result folder that is whole or absent, whenever the process is killed.

Everything is written into a hidden folder beside the result, flushed to disk, and renamed. The
hidden folder is locked by the process that writes it: one that is found unlocked belongs to a run
that died, and is swept by the next run for the same result.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...assets.workspace import sync
from ...errors import OutputError
from ...locks import lock as lock_file


@contextmanager
def new_folder(out: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends well, it becomes `out`.

    Args:
        out: The result, which must not exist.
        force: Replace an `out` that exists, once the new one is whole.

    Raises:
        OutputError: `out` exists, cannot be written, or is being written by another process.
    """
    out = Path(os.path.abspath(out))
    partial = out.with_name(f".{out.name}.widthwise-partial")
    lock = _claim(partial, out)
    try:
        check_free(out, force=force)
        partial.mkdir()
        yield partial
        sync(partial)
        _put_in_place(partial, out, force)
    except OSError as error:
        raise OutputError(f"{out} was not written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing is there after a rename
        _lock_path(partial).unlink(missing_ok=True)
        os.close(lock)


def check_free(out: Path, *, force: bool) -> None:
    """Raise OutputError unless `out` is absent or, with `force`, a checkpoint folder, and its
    folder can be written."""
    whole = Path(os.path.abspath(out))
    above = next((place for place in whole.parents if place.exists()), whole)  # / has none above
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "cannot be written" if above.is_dir() else "is no folder"
        raise OutputError(f"{out} cannot be written: {above} {why}")
    if not (out.exists() or out.is_symlink()):
        return
    if not force:
        raise OutputError(f"{out} already exists; pass --force to replace it")
    if out.is_symlink() or not out.is_dir():
        raise OutputError(f"{out} is not a folder; it is never replaced")
    if any(out.iterdir()) and not (out / "config.json").exists():
        raise OutputError(f"{out} holds other files and no checkpoint; it is never replaced")


def _lock_path(partial: Path) -> Path:
    return partial.with_name(partial.name + ".lock")


def _claim(partial: Path, out: Path) -> int:
    """Make the hidden folder and its lock (the handle returned); sweep what a dead run left."""
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(_lock_path(partial), os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error}") from error
    try:
        lock_file(lock)
        if not _is_file(lock, _lock_path(partial)):  # its last holder removed it meanwhile
            raise BlockingIOError
        if partial.exists():
            shutil.rmtree(partial)
        _restore(out)
    except BlockingIOError as error:
        os.close(lock)
        raise OutputError(f"{out} is being written by another process") from error
    except OSError as error:
        _lock_path(partial).unlink(missing_ok=True)
        os.close(lock)
        raise OutputError(f"{out} cannot be written: {error}") from error
    return lock


def _is_file(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _aside(out: Path) -> Path:
    return out.with_name(f".{out.name}.widthwise-replaced")


def _restore(out: Path) -> None:
    """Undo or finish a replacement that a kill cut between its two renames."""
    if _aside(out).exists():
        if out.exists():
            shutil.rmtree(_aside(out))
        else:
            _aside(out).rename(out)


def _put_in_place(partial: Path, out: Path, force: bool) -> None:
    check_free(out, force=force)  # it may have appeared while the result was written
    if out.exists():
        out.rename(_aside(out))
    partial.rename(out)
    _flush_entry(out.parent)
    shutil.rmtree(_aside(out), ignore_errors=True)


def _flush_entry(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
