"""What all executors are: they hand jobs to workers, and retry those that are lost."""

from __future__ import annotations

import pickle
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .job_runner import describe_exception
from .protocol import (
    Event,
    Failed,
    Finished,
    Job,
    Progressed,
    Retrying,
    Started,
    WorkerFactory,
    schedule_order,
)

GRACE_SEC = 5.0  # for a worker to put away what it holds when it is asked to end
_LOOK_SEC = 1.0  # between two looks at workers that send nothing


class WorkerLost(Exception):
    """The process behind a worker is no more.

    Args:
        reason: Why, in one line.
        details: Its last lines, or all that is known of its end.
    """

    def __init__(self, reason: str, details: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


class WorkerHandle(ABC):
    """One worker as the scheduler sees it; the process behind it may be replaced.

    Args:
        name: The worker's name.

    Attributes:
        job: The job that it does now; the scheduler sets it.
        heard_sec: When it last sent something, by `time.monotonic`; the scheduler sets it.
        is_ready: Whether it can be given a job.
    """

    is_ready = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.job: Job | None = None
        self.heard_sec = 0.0

    @abstractmethod
    def begin(self, work: Any) -> None:
        """Give it work, as the scheduler packed it; a process that is no more is replaced first."""

    @abstractmethod
    def receive(self) -> tuple[Any, ...] | None:
        """The next message, or None if there is none yet.

        A message is `("ready",)`, `("share", share, text)` or an answer of `JobRunner.do`.

        Raises:
            WorkerLost: The process is no more.
        """

    def ask_to_end(self) -> None:  # noqa: B027  what needs no warning is ended at once
        """Ask it to put away what it holds; `end` follows."""

    @abstractmethod
    def end(self, until_sec: float) -> str:
        """End the process, if there is one; return its last lines.

        Args:
            until_sec: Latest time for it to end as asked, by `time.monotonic`; then it is killed.
        """


class Executor(ABC):
    """Hands jobs to workers, and gives those of a lost or silent worker to another one.

    Leaves no process behind once closed; may be used as a context.

    Args:
        workers: Handles of the workers.
        attempts: How often a job is started at most.
        patience_sec: How long a worker may send nothing.
    """

    def __init__(
        self, workers: Sequence[WorkerHandle], *, attempts: int, patience_sec: float
    ) -> None:
        self._workers = list(workers)
        self._attempts = attempts
        self._patience_sec = patience_sec
        self._waiting: deque[Job] = deque()
        self._attempts_made: Counter[str] = Counter()
        self._timer: WorkerHandle | None = None  # did the last job alone, and does the next one too

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the workers."""
        return tuple(worker.name for worker in self._workers)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Do the jobs, handed out in their order, those that must be alone after all others.

        Each job has one last event, `Finished` or `Failed`. If the iteration is broken off, so is
        the work. Workers stay for further runs.

        Raises:
            RunError: The engine cannot go on.
            ValueError: Two jobs have one key.
        """
        self._waiting, self._attempts_made = deque(schedule_order(jobs)), Counter()
        try:
            while self._waiting or self._busy():
                yield from self._hand_out()
                self._wait(self._busy(), self._wait_sec())
                for worker in self._workers:
                    yield from self._hear(worker)
        finally:
            _end_all(self._busy())

    def close(self) -> None:
        """End the workers: they are asked to, and killed if they do not."""
        _end_all(self._workers)

    def check_room(self, workers: int) -> None:  # noqa: B027  a machine takes what is asked of it
        """Raise RunError unless so many workers can be there at the same time."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pack(self, work: Any) -> Any:
        """A job's work as `WorkerHandle.begin` takes it."""
        return pickle.dumps(work)

    @abstractmethod
    def _wait(self, busy: Sequence[WorkerHandle], seconds: float) -> None:
        """Wait for a message of any worker, but not longer than this."""

    def _busy(self) -> list[WorkerHandle]:
        return [worker for worker in self._workers if worker.job]

    def _wait_sec(self) -> float:
        silent_sec = [time.monotonic() - worker.heard_sec for worker in self._busy()]
        return max(0.0, min(_LOOK_SEC, self._patience_sec - max(silent_sec, default=0.0)))

    def _hand_out(self) -> Iterator[Event]:
        for worker in sorted(self._workers, key=lambda worker: worker is not self._timer):
            while worker.is_ready and not worker.job and (job := self._next_job(worker)):
                self._timer = worker if job.alone else self._timer
                yield Started(worker=worker.name, job=job)
                try:
                    work = self._pack(job.work)
                except Exception as error:
                    _, reason, details, _ = describe_exception(error)
                    yield self._failed(worker, job, reason, details)
                else:
                    worker.job, worker.heard_sec = job, time.monotonic()
                    worker.begin(work)

    def _next_job(self, worker: WorkerHandle) -> Job | None:
        """The next job that a worker may do, unless it must be alone and others run."""
        mine = (job for job in self._waiting if job.worker in (None, worker.name))
        if (job := next(mine, None)) is None or (job.alone and self._busy()):
            return None
        self._waiting.remove(job)
        self._attempts_made[job.key] += 1
        return job

    def _hear(self, worker: WorkerHandle) -> Iterator[Event]:
        """Yield what a worker sends, and see whether it is still there."""
        try:
            while (message := worker.receive()) is not None:
                worker.heard_sec = time.monotonic()
                yield from self._events(worker, message)
        except WorkerLost as lost:
            yield from self._retry(worker, lost.reason, lost.details)
        if worker.job and time.monotonic() - worker.heard_sec > self._patience_sec:
            reason = f"the worker said nothing for {self._patience_sec:g} s"
            yield from self._retry(worker, reason, "")

    def _events(self, worker: WorkerHandle, message: tuple[Any, ...]) -> Iterator[Event]:
        job = worker.job
        if job is None or message == ("ready",):
            return
        if message[0] == "share":
            _, share, text = message
            yield Progressed(worker=worker.name, job=job, share=share, text=text)
            return
        worker.job = None
        if message[0] == "done":
            yield Finished(worker=worker.name, job=job, result=message[1])
        else:
            _, reason, details, is_spoiled = message
            if is_spoiled:
                _end_all([worker])
            yield self._failed(worker, job, reason, details)

    def _retry(self, worker: WorkerHandle, reason: str, details: str) -> Iterator[Event]:
        """End a worker; its job is the next one, or given up."""
        job = worker.job
        (last_lines,) = _end_all([worker])
        if job is None:
            return
        if self._attempts_made[job.key] >= self._attempts:
            yield self._failed(worker, job, reason, details or last_lines)
        else:
            self._waiting.appendleft(job)
            attempt = self._attempts_made[job.key] + 1
            yield Retrying(worker=worker.name, job=job, reason=reason, attempt=attempt)

    def _failed(self, worker: WorkerHandle, job: Job, reason: str, details: str) -> Failed:
        attempts = self._attempts_made[job.key]
        return Failed(
            worker=worker.name, job=job, reason=reason, attempts=attempts, details=details
        )


MakeEngine = Callable[[WorkerFactory], Executor]
"""Makes the executor of the work that such workers do: `Processes` or `RayExecutor` with all but
its first argument."""


def _end_all(workers: Iterable[WorkerHandle]) -> list[str]:
    """End workers, all asked at the same time; return the last lines of each."""
    workers = list(workers)
    for worker in workers:
        worker.ask_to_end()
    until_sec = time.monotonic() + GRACE_SEC
    last_lines = []
    for worker in workers:
        last_lines.append(worker.end(until_sec))
        worker.job = None
    return last_lines
