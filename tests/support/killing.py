"""Work that is killed in the middle, in a process of its own."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def killed_at(name: str, work: Callable[[], object], *, call: int = 1) -> None:
    """Do this in another process, which is killed at that call of a function of `os`."""
    left = [call]
    original = getattr(os, name)

    def die(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)

    _killed(lambda: setattr(os, name, die), work, signal.SIGKILL)


def killed_within(size: int, work: Callable[[], object]) -> None:
    """Do this in another process, which the system kills as a file grows beyond so many bytes.

    The bytes up to there are written.
    """

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    _killed(limit, work, signal.SIGXFSZ)


def _killed(prepare: Callable[[], object], work: Callable[[], object], by: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            prepare()
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -by


_DIES = """
import os, signal, sys
from widthwise.cli import main
_, path, lines, *words = sys.argv

def count(event, args):
    if event == "open" and str(args[0]) == path and str(args[1]).startswith("a"):
        if os.path.exists(path) and open(path, "rb").read().count(b"\\n") >= int(lines):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
main(words)
"""


def command_killed_at(file: Path, lines: int, words: Sequence[object]) -> None:
    """Run a command that is killed as it is about to add to a file of so many lines or more."""
    command = [sys.executable, "-c", _DIES, file, str(lines), *map(str, words)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert ended.returncode == -signal.SIGKILL
    with open(file, "ab") as torn:
        torn.write(b'{"cell": "half a li')
