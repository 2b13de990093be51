"""The digest of a file is that of its bytes, however many blocks they are."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import pytest

from widthwise.io import checksum, file_sha256, remembered_sha256


@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 2**18 + 1, 3 * 2**18, 3 * 2**18 + 1])
def test_a_file_has_the_digest_of_its_bytes(size: int, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        file_sha256(tmp_path / "none")


def test_a_digest_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, records = tmp_path / "file", tmp_path / "records"
    path.write_bytes(b"first")
    monkeypatch.setattr(checksum, "_SETTLED_SEC", -1.0)  # as if it had been there for long
    first = remembered_sha256(path, records)
    monkeypatch.setattr(checksum, "file_sha256", lambda path: "read again")
    assert remembered_sha256(path, records) == first == hashlib.sha256(b"first").hexdigest()
    times = path.stat()
    path.write_bytes(b"other")  # of the same length, and with the same time of its last change
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert remembered_sha256(path, records) == "read again"


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    path, records = tmp_path / "file", tmp_path / "records"
    path.write_bytes(b"first")
    assert remembered_sha256(path, records) == hashlib.sha256(b"first").hexdigest()
    assert not records.exists()
    future = time.time() + 1000  # a clock that was set wrong says nothing either
    os.utime(path, (future, future))
    assert remembered_sha256(path, records) == hashlib.sha256(b"first").hexdigest()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"state": 1}'])
def test_a_damaged_record_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(checksum, "_SETTLED_SEC", -1.0)
    (tmp_path / "file").write_bytes(b"first")
    digest = remembered_sha256(tmp_path / "file", tmp_path / "records")
    (record,) = (tmp_path / "records").iterdir()
    record.write_text(damage)
    assert remembered_sha256(tmp_path / "file", tmp_path / "records") == digest
    assert digest in record.read_text()
