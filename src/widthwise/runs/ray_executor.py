"""Jobs done by workers in a Ray cluster."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import RunError
from .job_queue import JobQueue
from .protocol import Event, Executor, Finished, Job, Progressed, WorkerFactory
from .ray_cluster import ResourceRequest, capacity, connect, disconnect, import_ray, nodes
from .ray_worker import RayWorker, WorkerLost, end_all

_LOOK_SEC = 0.5  # how often workers are asked for news


class RayExecutor(Executor):
    """Does jobs in actors of a Ray cluster, each of which keeps its worker.

    The cluster is the one at `address`, or that of RAY_ADDRESS, or one that is begun on this
    machine and ends with the engine. A worker whose process or node dies, or that tells nothing
    for `patience_sec`, is replaced where there is room, and its job done again; if there is room
    no more, the others go on.

    Args:
        make: Makes a worker; it and the jobs' work must be importable on every node.
        address: Of the cluster, as in `ray.init`.
        workers: How many; None for as many as there is room for now. Those for which there is
            none yet begin when nodes join.
        gpus_per_worker: May be a part of one; None for 1 if the cluster has any, else 0.
        cpus_per_worker: CPUs that are kept free for each, which is its number of threads.
        attempts: How often a job is begun at most.
        patience_sec: How long a worker may tell nothing.

    Raises:
        RunError: Ray is missing, the cluster cannot be reached or has no room.
    """

    def __init__(
        self,
        make: WorkerFactory,
        *,
        address: str | None = None,
        workers: int | None = None,
        gpus_per_worker: float | None = None,
        cpus_per_worker: float = 1.0,
        attempts: int = 3,
        patience_sec: float = 1800.0,
    ) -> None:
        self._is_connected = connect(address)
        self._places: list[RayWorker] = []
        self._attempts = attempts
        self._patience_sec = patience_sec
        self._lived_sec = 0.0
        self._n_unbegun = 0
        self._timer: RayWorker | None = None  # did the last job alone, and does the next one too
        try:
            if gpus_per_worker is None:
                gpus_per_worker = float(any(node.get("GPU", 0) >= 1 for node in nodes()))
            self._need = ResourceRequest(cpus=cpus_per_worker, gpus=gpus_per_worker)
            n_workers = workers or capacity(self._need)
            make_bytes = pickle.dumps(make)
            self._places = [RayWorker(f"ray:{i}", make_bytes, self._need) for i in range(n_workers)]
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> tuple[str, ...]:
        return tuple(place.name for place in self._places)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Do the jobs; see `Executor.run`."""
        turns = JobQueue(jobs, self._attempts)
        self._lived_sec = time.monotonic()
        try:
            while turns or self._busy():
                for place in self._places:
                    place.fill()
                self._require_a_worker()
                yield from self._hand_out(turns)
                self._wait()
                for place in self._places:
                    yield from self._hear(place, turns)
        finally:
            end_all(self._busy())

    def close(self) -> None:
        """End the workers, and the cluster if the engine began it."""
        end_all(self._places)
        if self._is_connected:
            disconnect()
            self._is_connected = False

    def _busy(self) -> list[RayWorker]:
        return [place for place in self._places if place.job]

    def _wait(self) -> None:
        awaited = [place.awaited for place in self._places if place.awaited is not None]
        if awaited:
            import_ray().wait(awaited, num_returns=1, timeout=_LOOK_SEC)

    def _hand_out(self, turns: JobQueue) -> Iterator[Event]:
        for place in sorted(self._places, key=lambda place: place is not self._timer):
            while place.is_there and not place.job:
                if (job := turns.next(len(self._busy()))) is None:
                    break
                self._timer = place if job.alone else self._timer
                yield from turns.begun(place.name, job, place.begin)

    def _hear(self, place: RayWorker, turns: JobQueue) -> Iterator[Event]:
        """Yield what the actor at the place says, and see whether it is still there."""
        job = place.job
        try:
            message = place.receive()
        except WorkerLost as lost:
            self._note_loss(place, lost)
            place.end()
            if job:
                yield turns.lost(place.name, job, lost.reason, lost.details)
            return
        if job and message:
            yield self._event(place, job, message, turns)
        elif job and time.monotonic() - place.heard_sec > self._patience_sec:
            place.ask_to_end()
            place.end()
            reason = f"the worker said nothing for {self._patience_sec:g} s"
            yield turns.lost(place.name, job, reason, "")

    def _event(
        self, place: RayWorker, job: Job, message: tuple[Any, ...], turns: JobQueue
    ) -> Event:
        match message:
            case ("share", share, text):
                return Progressed(worker=place.name, job=job, share=share, text=text)
            case ("done", result):
                place.job = None
                return Finished(worker=place.name, job=job, result=result)
        _, reason, details, spoiled = message
        place.job = None
        if spoiled:
            place.end()
        return turns.raised(place.name, job, reason, details)

    def _note_loss(self, place: RayWorker, lost: WorkerLost) -> None:
        """Count actors that ended before they had begun: none of them may ever do."""
        self._n_unbegun = 0 if place.is_there else self._n_unbegun + 1
        if self._n_unbegun >= self._attempts * len(self._places):
            raise RunError(f"no worker can begin on the Ray cluster: {lost.reason}.")

    def _require_a_worker(self) -> None:
        """Raise RunError if there is no worker any more and none can be waited for."""
        now = time.monotonic()
        if any(place.is_there for place in self._places):
            self._lived_sec = now
            return
        capacity(self._need)
        if now - self._lived_sec > self._patience_sec:
            raise RunError(
                f"no worker could begin on the Ray cluster for {self._patience_sec:g} s: its nodes "
                f"have room for one, which takes {self._need}, but others may use it."
            )
