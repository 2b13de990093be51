"""Jobs done one after the other in this process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

from .job_runner import JobRunner, interrupt
from .protocol import (
    Event,
    Executor,
    Failed,
    Finished,
    Job,
    Progressed,
    Started,
    WorkerFactory,
    schedule_order,
)


class InProcess(Executor):
    """Does jobs in this process, for notebooks and tests.

    A job runs in a thread, so that its shares are told while it goes on.

    Args:
        make: Makes the worker.
        device: What it is given, and its name.
    """

    def __init__(self, make: WorkerFactory, device: str) -> None:
        self._make = make
        self._name = device
        self._doer = JobRunner(lambda: make(device))

    @property
    def workers(self) -> tuple[str, ...]:
        return (self._name,)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Do the jobs; see `Executor.run`."""
        for job in schedule_order(jobs):
            yield Started(worker=self._name, job=job)
            yield from self._do(job)

    def close(self) -> None:
        """Let go of the worker."""
        self._doer = JobRunner(lambda: self._make(self._name))

    def _do(self, job: Job) -> Iterator[Event]:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()

        def share(share: float, text: str) -> None:
            events.put(Progressed(worker=self._name, job=job, share=share, text=text))

        def do() -> None:
            match self._doer.do(lambda: job.work, share):
                case ("done", result):
                    events.put(Finished(worker=self._name, job=job, result=result))
                case (_, reason, details, _):
                    told = {"reason": reason, "details": details}
                    events.put(Failed(worker=self._name, job=job, attempts=1, **told))

        thread = threading.Thread(target=do, name=f"worker {self._name}", daemon=True)
        thread.start()
        event: Event | None = None
        try:
            while not isinstance(event, Finished | Failed):
                event = events.get()
                yield event
        finally:  # after GeneratorExit and Ctrl-C too
            if not isinstance(event, Finished | Failed):
                interrupt(thread.ident or 0)
            thread.join()
