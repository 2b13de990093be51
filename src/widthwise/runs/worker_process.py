"""One worker process as the main process sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Any

from .job_runner import unpickled
from .protocol import Job

_GRACE_SEC = 5.0  # for a worker to put away what it holds when it is asked to end
_LAST_LINES = 20


class WorkerProcess:
    """A place for a worker process; who sits there may change.

    The process is a new interpreter. A fork of this one would inherit locks that its threads
    hold and a CUDA context that cannot be used; multiprocessing's own new interpreters run the
    caller's script once more, which only a script with a guard survives.

    Args:
        name: The worker's name.
        make: Pickled pair of what makes the worker and its device.
        defaults: Environment variables of the process, where this one has none.
    """

    pipe: Connection

    def __init__(self, name: str, make: bytes, defaults: Mapping[str, str]) -> None:
        self.name = name
        self.job: Job | None = None
        self.heard_sec = 0.0
        self._make = make
        self._defaults = dict(defaults)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def begin(self, job: Job, work: bytes) -> None:
        """Give the job to the worker, a new one if none is there; its answers come by `pipe`."""
        if self._process is None or self.has_ended():
            self.end()
            self._start()
        self.job, self.heard_sec, self._work = job, time.monotonic(), work
        if self._ready:
            self._send(work)

    def receive(self) -> tuple[Any, ...]:
        """The worker's next message; EOFError or OSError if it is no more."""
        data = self.pipe.recv_bytes()
        self.heard_sec = time.monotonic()
        message = unpickled(data)
        if message == ("ready",):
            self._ready = True
            self._send(self._work)
        return message

    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self, until_sec: float | None = None) -> tuple[str, str]:
        """End the process and those that it began; return how it ended and its last lines.

        Args:
            until_sec: When it is killed if it does not end as asked, by `time.monotonic`.
        """
        process, self._process, self.job = self._process, None, None
        if process is None:
            return "", ""
        until_sec = until_sec or time.monotonic() + _GRACE_SEC
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until_sec - time.monotonic()))
        with suppress(ProcessLookupError):  # the group outlives its leader, or is empty
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.pipe.close()
        with self._log as log:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()
        return _how(process.returncode), "\n".join(lines[-_LAST_LINES:])

    def _start(self) -> None:
        """Begin a process that is ready before it is sent work, so that no send has to wait."""
        self._ready = False
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self.pipe, theirs = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            "from widthwise.runs.worker_main import main\n"
            f"main({theirs.fileno()}, {os.getpid()})"
        )
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                env={**self._defaults, **os.environ},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is the main process's; all of it can be killed
            )
        self._send(self._make)

    def _send(self, data: bytes) -> None:
        with suppress(OSError):  # a worker that is no more is noticed when its answer is awaited
            self.pipe.send_bytes(data)


def end_all(seats: Iterable[WorkerProcess]) -> None:
    """End the processes of all seats, asked at the same time."""
    seats = list(seats)
    for seat in seats:
        seat.ask_to_end()
    until_sec = time.monotonic() + _GRACE_SEC
    for seat in seats:
        seat.end(until_sec)


def _how(code: int) -> str:
    """What ended a process, of its exit code.

    >>> _how(-9)
    'the worker was ended by SIGKILL, as when memory runs out'
    >>> _how(3)
    'the worker ended with exit code 3'
    """
    if code >= 0:
        return f"the worker ended with exit code {code}"
    hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"the worker was ended by {signal.Signals(-code).name}{hint}"
