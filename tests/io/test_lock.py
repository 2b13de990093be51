"""One process at a time: who holds a lock, who waits for it, and where there are none."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from widthwise.errors import OutputError
from widthwise.io import lock, locked


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_lock_that_is_held_is_told_in_the_callers_sentence(
    is_folder: bool, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "place"
    with (
        locked(path, tmp_path, if_held="never", is_folder=is_folder),
        pytest.raises(OutputError, match=r"^somebody works here$"),
        locked(path, tmp_path, if_held="somebody works here", is_folder=is_folder),
    ):
        pass
    with locked(path, tmp_path, if_held="never", is_folder=is_folder):
        assert path.is_dir() == is_folder


def test_whoever_waits_is_called_until_the_lock_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_LOOKS_SEC", 0.001)
    path, calls, free = tmp_path / "lock", [], threading.Event()
    is_held = threading.Event()

    def hold() -> None:
        with locked(path, tmp_path, if_held="never"):
            is_held.set()
            free.wait()

    def waiting() -> None:
        calls.append(None)
        if len(calls) == 3:
            free.set()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    with locked(path, tmp_path, if_held=waiting):
        assert len(calls) >= 3
    holder.join()


def test_a_lock_whose_file_was_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, original, removed = tmp_path / "lock", fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        original(descriptor, how)
        if not removed:  # as its last holder does, between our opening and our locking it
            path.unlink()
            removed.append(descriptor)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(path, tmp_path, if_held="never"):
        assert path.exists()
        with open(path) as file, pytest.raises(BlockingIOError):
            original(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (Path("/proc/lock"), tmp_path / "file" / "lock"):
        with (
            pytest.raises(OutputError, match=r"^the result cannot be written: "),
            locked(path, Path("the result"), if_held="never"),
        ):
            pass
    (tmp_path / "link").symlink_to(tmp_path / "absent" / "lock")
    with (
        pytest.raises(OutputError, match=r"^the result cannot be written: "),
        locked(tmp_path / "link", Path("the result"), if_held="never"),
    ):
        pass


def test_a_file_system_without_locks_stops_only_who_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    path = tmp_path / "lock"
    with locked(path, tmp_path, if_held="never", is_optional=True):
        pass
    with (
        pytest.raises(OutputError, match=r"cannot be written: .*No locks available"),
        locked(path, tmp_path, if_held="never"),
    ):
        pass
