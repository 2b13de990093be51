"""What an engine is given (jobs), what does them (workers), and what it reports (events)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ProgressCallback = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work.

    Args:
        key: Its name, unique in a run.
        label: What users read about what is being done.
        work: Whatever `Worker.do` takes; can be pickled.
        alone: Nothing else of this engine may run at the same time, as in timing.
        worker: Name of the only worker that may do it, as it holds what the work needs; None for
            any.
    """

    key: str
    label: str
    work: Any
    alone: bool = False
    worker: str | None = None


class Worker(Protocol):
    """Does jobs one after the other, and keeps between them what is dear to load.

    One that raised anything but a `WidthwiseError` is replaced.
    """

    def do(self, work: Any, on_share: ProgressCallback) -> Any:
        """Do the work and return a result that can be pickled.

        Calls `on_share` with the share done (0 to 1) and what is being done; an engine takes a
        worker that never does for hung.
        """


WorkerFactory = Callable[[str], Worker]
"""Makes a worker of the name of a device (`cpu`, `cuda:1`); can be pickled. It is called where
the worker lives, at its first job; if it raises, that job has failed."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job at a worker, which is called by its name."""

    worker: str
    job: Job


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """The job was handed to the worker."""


@dataclass(frozen=True, kw_only=True)
class Progressed(Event):
    """A share of the job is done, 0 to 1; the text says what is being done."""

    share: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The job is done."""

    result: Any


@dataclass(frozen=True, kw_only=True)
class Retrying(Event):
    """The worker died or hung, and the job will be started again, for the `attempt`-th time."""

    reason: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """The job will not be done.

    Either it raised, which is not tried again, or its worker died or hung at each attempt.
    `details` are the last lines of the traceback, or of what the worker wrote before it died.
    """

    reason: str
    attempts: int
    details: str = ""


def schedule_order(jobs: Sequence[Job]) -> list[Job]:
    """The jobs in the order in which they are handed out.

    >>> jobs = [Job(key=k, label=k, work=None, alone=k == "time") for k in ("a", "time", "b")]
    >>> [job.key for job in schedule_order(jobs)]
    ['a', 'b', 'time']
    """
    keys = [job.key for job in jobs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"two jobs have one key: {sorted(k for k in keys if keys.count(k) > 1)}")
    return sorted(jobs, key=lambda job: job.alone)  # sorting keeps the order within each kind
