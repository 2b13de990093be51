"""Jobs done one after the other in this process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from math import inf
from typing import Any

from .job_runner import JobRunner, interrupt
from .protocol import WorkerFactory
from .scheduler import Executor, WorkerHandle


class InProcess(Executor):
    """Does jobs in this process, for notebooks and tests.

    A job runs in a thread, so that its progress is reported while it runs.

    Args:
        make: Makes the worker.
        device: What it is given, and its name.
    """

    def __init__(self, make: WorkerFactory, device: str) -> None:
        self._thread = _Thread(make, device)
        super().__init__([self._thread], attempts=1, patience_sec=inf)

    def _pack(self, work: Any) -> Any:
        return work

    def _wait(self, busy: Sequence[WorkerHandle], seconds: float) -> None:
        if busy:
            self._thread.wait(seconds)


class _Thread(WorkerHandle):
    """A worker in a thread of this process."""

    def __init__(self, make: WorkerFactory, device: str) -> None:
        super().__init__(device)
        self._make = make
        self._runner: JobRunner | None = None
        self._thread: threading.Thread | None = None
        self._messages: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._has_news = threading.Event()

    def begin(self, work: Any) -> None:
        if self._runner is None:
            self._runner = JobRunner(lambda: self._make(self.name))
        self._thread = threading.Thread(
            target=self._do, args=(self._runner, work), name=f"worker {self.name}", daemon=True
        )
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for a message."""
        self._has_news.wait(seconds)
        self._has_news.clear()  # before the messages are taken: one that follows is no loss

    def receive(self) -> tuple[Any, ...] | None:
        try:
            return self._messages.get_nowait()
        except queue.Empty:
            return None

    def end(self, until_sec: float) -> str:
        """Break the job off, and wait for it: a thread cannot be killed."""
        if self.job is not None and self._thread is not None:
            interrupt(self._thread.ident or 0)
            self._thread.join()
        self._thread = self._runner = None
        self._messages = queue.SimpleQueue()
        return ""

    def _do(self, runner: JobRunner, work: Any) -> None:
        self._send(runner.do(lambda: work, lambda *share: self._send(("share", *share))))

    def _send(self, message: tuple[Any, ...]) -> None:
        self._messages.put(message)
        self._has_news.set()
