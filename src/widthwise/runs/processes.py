"""Jobs done by worker processes on this machine, one for each device."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO, Any

from .job_runner import unpickled
from .protocol import WorkerFactory
from .scheduler import GRACE_SEC, Executor, WorkerHandle, WorkerLost

_LAST_LINES = 20


class Processes(Executor):
    """Does jobs in worker processes, one for each device.

    A worker that dies, or reports nothing for `patience_sec`, is replaced and its job done again.
    Several workers share the cores of the machine, unless OMP_NUM_THREADS says otherwise. What
    workers print is not shown; the last lines of one that dies are in `Failed.details`.

    Args:
        make: Makes a worker; it and the jobs' work must be importable, not of `__main__`.
        devices: One for each worker; several may be the same.
        attempts: How often a job is started at most.
        patience_sec: How long a worker may tell nothing.
    """

    def __init__(
        self,
        make: WorkerFactory,
        devices: Sequence[str],
        *,
        attempts: int = 3,
        patience_sec: float = 1800.0,
    ) -> None:
        if not devices:
            raise ValueError("devices must not be empty")
        defaults = {"OMP_NUM_THREADS": str(max(1, _cores() // len(devices)))}
        workers = [
            _Process(name, pickle.dumps((make, device)), defaults if len(devices) > 1 else {})
            for name, device in zip(_names(devices), devices, strict=True)
        ]
        super().__init__(workers, attempts=attempts, patience_sec=patience_sec)

    def _wait(self, busy: Sequence[WorkerHandle], seconds: float) -> None:
        if busy:
            wait([worker.pipe for worker in busy if isinstance(worker, _Process)], seconds)


class _Process(WorkerHandle):
    """A worker process.

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
        super().__init__(name)
        self._make = make
        self._defaults = dict(defaults)
        self._process: subprocess.Popen[bytes] | None = None
        self._has_started = False

    def begin(self, work: bytes) -> None:
        if self._process is None or self._process.poll() is not None:
            self.end(time.monotonic())
            self._start()
        self._work = work
        if self._has_started:
            self._send(work)

    def receive(self) -> tuple[Any, ...] | None:
        if self._process is None:
            return None
        has_ended = self._process.poll() is not None  # asked first: its last words come after it
        try:
            if self.pipe.poll():
                message = unpickled(self.pipe.recv_bytes())
                if message == ("ready",):
                    self._has_started = True
                    self._send(self._work)
                return message
        except (EOFError, OSError):
            has_ended = True
        if has_ended:
            process = self._process
            details = self.end(time.monotonic() + GRACE_SEC)
            raise WorkerLost(_describe_end(process.returncode), details)
        return None

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def end(self, until_sec: float) -> str:
        """End the process and those that it began; return its last lines."""
        process, self._process = self._process, None
        if process is None:
            return ""
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
        return "\n".join(lines[-_LAST_LINES:])

    def _start(self) -> None:
        """Begin a process that is ready before it is sent work, so that no send has to wait."""
        self._has_started = False
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


def _describe_end(code: int) -> str:
    """What ended a process, from its exit code.

    >>> _describe_end(-9)
    'the worker was ended by SIGKILL, as when memory runs out'
    >>> _describe_end(3)
    'the worker ended with exit code 3'
    """
    if code >= 0:
        return f"the worker ended with exit code {code}"
    hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
    return f"the worker was ended by {signal.Signals(-code).name}{hint}"


def _names(devices: Iterable[str]) -> list[str]:
    """
    >>> _names(["cuda:0", "cpu", "cpu"])
    ['cuda:0', 'cpu', 'cpu#2']
    """
    seen: Counter[str] = Counter()
    names = []
    for device in devices:
        seen[device] += 1
        names.append(device if seen[device] == 1 else f"{device}#{seen[device]}")
    return names


def _cores() -> int:
    """Cores that this process may use, which a scheduler of a cluster may have cut."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
