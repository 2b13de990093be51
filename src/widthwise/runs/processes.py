"""Jobs done by worker processes on this machine, one for each device."""

from __future__ import annotations

import os
import pickle
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import wait

from .job_queue import JobQueue
from .protocol import Event, Executor, Finished, Job, Progressed, WorkerFactory
from .worker_process import WorkerProcess, end_all

_LOOK_SEC = 1.0  # how often processes are looked at that leave their pipe open when they die


class Processes(Executor):
    """Does jobs in worker processes, one for each device.

    A worker that dies, or tells nothing for `patience_sec`, is replaced and its job done again.
    Several workers share the cores of the machine, unless OMP_NUM_THREADS says otherwise. What
    workers print is not shown; the last lines of one that dies are in `Failed.details`.

    Args:
        make: Makes a worker; it and the jobs' work must be importable, not of `__main__`.
        devices: One for each worker; several may be the same.
        attempts: How often a job is begun at most.
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
        self._seats = [
            WorkerProcess(name, pickle.dumps((make, device)), defaults if len(devices) > 1 else {})
            for name, device in zip(_names(devices), devices, strict=True)
        ]
        self._attempts = attempts
        self._patience_sec = patience_sec

    @property
    def workers(self) -> tuple[str, ...]:
        return tuple(seat.name for seat in self._seats)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Do the jobs; see `Executor.run`."""
        turns = JobQueue(jobs, self._attempts)
        try:
            while turns or self._busy():
                yield from self._hand_out(turns)
                if busy := self._busy():
                    wait([seat.pipe for seat in busy], self._wait_sec())
                for seat in busy:
                    yield from self._hear(seat, turns)
        finally:
            end_all(self._busy())

    def close(self) -> None:
        """End the workers: they are asked to, and killed if they do not."""
        end_all(self._seats)

    def _busy(self) -> list[WorkerProcess]:
        return [seat for seat in self._seats if seat.job]

    def _wait_sec(self) -> float:
        silent = [time.monotonic() - seat.heard_sec for seat in self._busy()]
        return max(0.0, min(_LOOK_SEC, self._patience_sec - max(silent, default=0.0)))

    def _hand_out(self, turns: JobQueue) -> Iterator[Event]:
        for seat in self._seats:
            while not seat.job and (job := turns.next(len(self._busy()))):
                yield from turns.begun(seat.name, job, seat.begin)

    def _hear(self, seat: WorkerProcess, turns: JobQueue) -> Iterator[Event]:
        """Yield what the worker at the seat says, and see whether it is still there."""
        job, ended = seat.job, seat.has_ended()  # asked first: its last words are heard after it
        assert job
        try:
            while seat.job and seat.pipe.poll():
                yield from self._take(seat, job, turns)
        except (EOFError, OSError):
            ended = True
        if seat.job and ended:
            reason, details = seat.end()
            yield turns.lost(seat.name, job, reason, details)
        elif seat.job and time.monotonic() - seat.heard_sec > self._patience_sec:
            _, details = seat.end()
            reason = f"the worker said nothing for {self._patience_sec:g} s"
            yield turns.lost(seat.name, job, reason, details)

    def _take(self, seat: WorkerProcess, job: Job, turns: JobQueue) -> Iterator[Event]:
        match seat.receive():
            case ("share", share, text):
                yield Progressed(worker=seat.name, job=job, share=share, text=text)
            case ("done", result):
                seat.job = None
                yield Finished(worker=seat.name, job=job, result=result)
            case ("raised", reason, details, spoiled):
                seat.job = None
                if spoiled:
                    seat.end()
                yield turns.raised(seat.name, job, reason, details)


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
