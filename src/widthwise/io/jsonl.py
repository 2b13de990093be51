"""Files of JSON lines that are only appended to; a line that an interruption cut off is none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import OutputError, RunError
from .atomic_file import flush


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append lines and force them to disk before returning; a torn last line goes first.

    Raises:
        OutputError: The file cannot be written; what it held is still there.
    """
    data = "".join(line + "\n" for line in lines).encode()
    is_new = not path.exists()
    try:
        with open(path, "ab+", buffering=0) as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)  # all of these lines, or none of them
                raise
        if is_new:
            flush(path.parent)
    except OSError as error:
        raise OutputError(f"{path} was not written: {error}") from error


def read_whole_lines(path: Path) -> list[str]:
    """The lines of a file but for a torn last one; of an absent file none.

    Raises:
        RunError: It is no file, or cannot be read.
    """
    if not path.exists():
        return []
    if not path.is_file():  # a pipe would be waited for
        raise RunError(f"{path} is no file of JSON lines")
    try:
        data = path.read_bytes()
        return data[: data.rfind(b"\n") + 1].decode("utf8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
