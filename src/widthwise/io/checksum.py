"""The SHA-256 of a file, by which a file is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK_BYTES = 2**22  # in memory at a time


def file_sha256(path: Path) -> str:
    """The SHA-256 of what a file holds, as 64 hexadecimal digits; a few megabytes are in memory.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
