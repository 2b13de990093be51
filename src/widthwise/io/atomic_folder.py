"""Folders that are whole or absent, whenever the process is killed.

Everything is written into another folder, flushed to disk, and renamed. That folder is locked by
the process that writes it: one that is found unlocked belongs to a run that died, and is swept by
the next one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError
from .atomic_file import flush
from .lock import acquire, locked


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
    lock = partial.with_name(f"{partial.name}.lock")
    with locked(lock, out, if_held=f"{out} is being written by another process"):
        try:
            _sweep(partial, out)
            check_overwrite(out, force=force)
            partial.mkdir()
            yield partial
            sync(partial)
            check_overwrite(out, force=force)  # it may have appeared meanwhile
            _rename(partial, out, _aside(out))
            shutil.rmtree(_aside(out), ignore_errors=True)
        except OSError as error:
            raise OutputError(f"{out} was not written: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # nothing is there after a rename
            lock.unlink(missing_ok=True)


def check_overwrite(out: Path, *, force: bool) -> None:
    """Raise OutputError unless `out` is absent or, with `force`, a checkpoint folder, and its
    folder can be written."""
    whole = Path(os.path.abspath(out))
    above = next((folder for folder in whole.parents if folder.exists()), whole)  # / has none above
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


@contextmanager
def locked_workdir(work: Path) -> Iterator[Path]:
    """Make the folder `work` and hold it for this process; empty at first, gone at the end.

    Another process waits here. A process that was killed leaves its folder behind, and its lock
    free: whoever takes the lock next finds the folder and empties it.

    Raises:
        OSError: It cannot be made.
    """
    descriptor = acquire(work, is_folder=True, wait=True)
    try:
        for path in work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def kept_workdir(work: Path) -> Iterator[Path]:
    """Make the folder `work`, or take the one that was left, and hold it; gone if all ends well.

    Where the block ends by an exception, or the process is killed, what is in the folder is kept,
    for whoever takes it next to go on. A folder in which nothing is goes as well.

    Raises:
        OutputError: It cannot be made, or another process holds it.
    """
    try:
        descriptor = acquire(work, is_folder=True)
    except BlockingIOError:
        raise OutputError(
            f"{work} is used by another process, which makes the same; wait until it ends"
        ) from None
    except OSError as error:
        raise OutputError(f"{work} cannot be made: {error}") from error
    try:
        yield work
        shutil.rmtree(work)
    finally:
        if work.exists() and not any(work.iterdir()):
            work.rmdir()
        os.close(descriptor)


@contextmanager
def new_once(out: Path, is_whole: Callable[[Path], bool] = lambda _: True) -> Iterator[Path | None]:
    """Yield an empty folder that becomes `out` when the block ends well; None where `out` is there.

    Another process that makes the same folder is waited for.

    Args:
        out: The folder.
        is_whole: Whether a folder that is there may stay; else it is removed and made again.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with locked_workdir(out.parent / f".{out.name}.partial") as work:
            if out.exists():
                if is_whole(out):
                    yield None
                    return
                shutil.rmtree(out)
            built = work / out.name
            built.mkdir()
            yield built
            move_into_place(built, out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error}") from error


def move_into_place(built: Path, target: Path, *, aside: Path | None = None) -> None:
    """Force a file or a folder to disk, and give it its name.

    Args:
        built: The written file or folder.
        target: Its name; a file of that name is replaced.
        aside: Where a folder of that name goes first.

    Raises:
        OSError: It cannot be moved.
    """
    sync(built)
    _rename(built, target, aside)


def sync(path: Path) -> None:
    """Force a file, or a folder and all in it, to disk, so that no rename comes before it."""
    for each in [*path.rglob("*"), path]:
        flush(each)


def _rename(built: Path, target: Path, aside: Path | None) -> None:
    if aside is not None and target.exists():
        target.rename(aside)
    built.replace(target)
    flush(target.parent)


def _aside(out: Path) -> Path:
    return out.with_name(f".{out.name}.widthwise-replaced")


def _sweep(partial: Path, out: Path) -> None:
    """Remove what a killed run left; undo or finish a replacement cut between its two renames."""
    if partial.exists():
        shutil.rmtree(partial)
    if _aside(out).exists():
        if out.exists():
            shutil.rmtree(_aside(out))
        else:
            _aside(out).rename(out)
