"""Whose turn it is, and how often a job was tried."""

from __future__ import annotations

import pickle
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from .job_runner import describe_exception
from .protocol import Failed, Job, Retrying, Started, schedule_order


class JobQueue:
    """Jobs that wait for a worker.

    Args:
        jobs: All jobs of a run.
        attempts: How often a job is begun at most.
    """

    def __init__(self, jobs: Sequence[Job], attempts: int) -> None:
        self._waiting = deque(schedule_order(jobs))
        self._begun: Counter[str] = Counter()
        self._attempts = attempts

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self, n_running: int) -> Job | None:
        """Hand out a job, unless none waits or the next one must be alone and others run."""
        if not self._waiting or (self._waiting[0].alone and n_running):
            return None
        job = self._waiting.popleft()
        self._begun[job.key] += 1
        return job

    def begun(
        self, worker: str, job: Job, begin: Callable[[Job, bytes], None]
    ) -> Iterator[Started | Failed]:
        """Say that a job is begun, and begin it; one whose work cannot be pickled is given up."""
        yield Started(worker=worker, job=job)
        try:
            work = pickle.dumps(job.work)
        except Exception as error:
            _, reason, details, _ = describe_exception(error)
            yield self.raised(worker, job, reason, details)
        else:
            begin(job, work)

    def raised(self, worker: str, job: Job, reason: str, details: str) -> Failed:
        """Give a job up that raised."""
        attempts = self._begun[job.key]
        return Failed(worker=worker, job=job, reason=reason, attempts=attempts, details=details)

    def lost(self, worker: str, job: Job, reason: str, details: str) -> Retrying | Failed:
        """Take a job back whose worker is no more, to be the next one, or give it up."""
        attempt = self._begun[job.key]
        if attempt >= self._attempts:
            return Failed(worker=worker, job=job, reason=reason, attempts=attempt, details=details)
        self._waiting.appendleft(job)
        return Retrying(worker=worker, job=job, reason=reason, attempt=attempt + 1)
