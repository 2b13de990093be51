"""The SHA-256 of a file, by which a file is known."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from ..errors import OutputError
from .atomic_file import write_text

_SETTLED_SEC = 2.0  # more than the coarsest times that file systems keep


def file_sha256(path: Path) -> str:
    """The SHA-256 of what a file holds, as 64 hexadecimal digits; little of it is in memory.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256(path: Path, records: Path) -> str:
    """The same, read again only where the file has changed.

    It counts as unchanged while its place, its size, its inode and the times of its last changes
    stay the same. A file that was changed within the last two seconds is not remembered, as another
    change might leave the same times; nor is any where the record cannot be written.

    Args:
        path: The file.
        records: Folder that remembers digests; made where it is absent.

    Raises:
        OSError: The file cannot be read.
    """
    place = path.resolve()
    known = records / f"{hashlib.sha256(str(place).encode()).hexdigest()[:32]}.json"
    seen, before = _state(place), time.time()
    try:
        record = json.loads(known.read_text(encoding="utf8"))
        if record["state"] == seen:
            return str(record["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or none that can be read: a new one is made
    digest = file_sha256(place)
    if _state(place) == seen and before - place.stat().st_ctime > _SETTLED_SEC:
        with suppress(OSError, OutputError):  # then it is read again next time
            records.mkdir(parents=True, exist_ok=True)
            write_text(known, json.dumps({"state": seen, "sha256": digest}), shared=True)
    return digest


def _state(path: Path) -> list[int]:
    """All that changes with a file."""
    stat = path.stat()
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
