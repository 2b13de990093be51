"""The digest of a file is that of its bytes, however many blocks they are."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from widthwise.io import file_sha256


@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 2**18 + 1, 3 * 2**18, 3 * 2**18 + 1])
def test_a_file_has_the_digest_of_its_bytes(size: int, tmp_path: Path) -> None:
    data = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(data)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        file_sha256(tmp_path / "none")
