"""Jobs done by workers in a Ray cluster: the executor, its actors, and their handles here."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import RunError
from .job_runner import JobRunner, interrupt, pickled, unpickled
from .protocol import Event, Job, Worker, WorkerFactory
from .ray_cluster import ResourceRequest, capacity, connect, disconnect, import_ray, nodes
from .scheduler import Executor, WorkerHandle, WorkerLost

_LOOK_SEC = 0.5  # how often workers are asked for news


class RayExecutor(Executor):
    """Does jobs in actors of a Ray cluster, each of which keeps its worker.

    The cluster is the one at `address`, or that of RAY_ADDRESS, or one that is started on this
    machine and ends with the executor. A worker whose process or node dies, or that tells nothing
    for `patience_sec`, is replaced where there is room, and its job done again; if there is room
    no more, the others go on.

    Args:
        make: Makes a worker; it and the jobs' work must be importable on every node.
        address: Address of the cluster, as in `ray.init`.
        workers: How many; None for as many as there is room for now. Those for which there is
            none yet begin when nodes join.
        gpus_per_worker: May be a part of one; None for 1 if the cluster has any, else 0.
        cpus_per_worker: CPUs that are kept free for each, which is its number of threads.
        attempts: How often a job is started at most.
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
        super().__init__([], attempts=attempts, patience_sec=patience_sec)
        self._actors: list[RayWorker] = []
        self._lived_sec = 0.0
        self._is_connected = connect(address)
        try:
            if gpus_per_worker is None:
                gpus_per_worker = float(any(node.get("GPU", 0) >= 1 for node in nodes()))
            self._request = ResourceRequest(cpus=cpus_per_worker, gpus=gpus_per_worker)
            n_workers = workers or capacity(self._request)
            factory = pickle.dumps(make)
            self._actors = [RayWorker(f"ray:{i}", factory, self._request) for i in range(n_workers)]
            self._workers = list(self._actors)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers, and the cluster if the executor began it."""
        super().close()
        if self._is_connected:
            disconnect()
            self._is_connected = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Do the jobs; see `Executor.run`."""
        self._lived_sec = time.monotonic()
        return super().run(jobs)

    def check_room(self, workers: int) -> None:
        """Raise RunError unless so many workers can be there at the same time."""
        if (room := capacity(self._request)) < workers:
            raise RunError(
                f"the Ray cluster has room for {room} workers, each of which needs "
                f"{self._request}, and all of {workers} must be there at the same time: ask for "
                f"{room}"
            )

    def _wait(self, busy: Sequence[WorkerHandle], seconds: float) -> None:
        for actor in self._actors:
            actor.start()
        self._require_a_worker()
        awaited = [actor.awaited for actor in self._actors if actor.awaited is not None]
        if awaited:
            import_ray().wait(awaited, num_returns=1, timeout=min(seconds, _LOOK_SEC))

    def _require_a_worker(self) -> None:
        """Raise RunError if a worker that is needed is not there, and cannot be waited for."""
        if sum(actor.failed_starts for actor in self._actors) >= self._attempts * len(self._actors):
            failure = next(actor.failure for actor in self._actors if actor.failed_starts)
            raise RunError(f"no worker can start on the Ray cluster: {failure}.")
        now = time.monotonic()
        named = {job.worker for job in self._waiting}
        needed = [actor.is_ready for actor in self._actors if actor.name in named]
        if all(needed) if needed else any(actor.is_ready for actor in self._actors):
            self._lived_sec = now
            return
        capacity(self._request)
        if now - self._lived_sec > self._patience_sec:
            raise RunError(
                f"no worker could start on the Ray cluster for {self._patience_sec:g} s: its nodes "
                f"have room for one, which needs {self._request}, but other programs may use it."
            )


class RayActor:
    """A worker in a process of a Ray cluster. `do` runs in a thread while other methods run.

    Args:
        make: The pickled `WorkerFactory`.
    """

    def __init__(self, make: bytes) -> None:
        self._runner = JobRunner(lambda: _make_worker(make))
        self._thread_id = 0
        self._news = (0, 0, 0.0, "")

    def is_there(self) -> bool:
        """Answers once the process has started."""
        return True

    def do(self, work: bytes, number: int) -> bytes:
        """Do a pickled work, the `number`-th; return the pickled answer of `JobRunner.do`."""
        self._thread_id = threading.get_ident()
        self._news = (number, 0, 0.0, "")
        return pickled(self._runner.do(partial(pickle.loads, work), self._share))

    def news(self) -> tuple[int, int, float, str]:
        """Number of the work, how many shares of it were reported so far, and the latest."""
        return self._news

    def stop(self) -> None:
        """Break the job off, so that it can put away what it holds."""
        interrupt(self._thread_id)

    def _share(self, share: float, text: str) -> None:
        number, n_reports, *_ = self._news
        self._news = (number, n_reports + 1, share, text)


def _make_worker(make: bytes) -> Worker:
    """The worker on the device that Ray gave to this actor, which sees no other."""
    has_gpu = import_ray().get_runtime_context().get_accelerator_ids().get("GPU")
    worker: Worker = pickle.loads(make)("cuda:0" if has_gpu else "cpu")
    return worker


class RayWorker(WorkerHandle):
    """The handle of an actor, which may be replaced by another one.

    Args:
        name: The worker's name.
        make: Pickled, what makes the worker.
        request: Resources of a node that it takes.

    Attributes:
        awaited: The answer to the job, or first that the actor is there.
        failed_starts: How many actors in a row ended before they had started.
        failure: Why the last of these ended.
    """

    def __init__(self, name: str, make: bytes, request: ResourceRequest) -> None:
        super().__init__(name)
        self.is_ready = False
        self.awaited: Any = None
        self.failed_starts = 0
        self.failure = ""
        self._make = make
        self._request = request
        self._actor: Any = None
        self._asked: Any = None  # for news
        self._number = 0
        self._n_reports = 0

    def start(self) -> None:
        """Ask for an actor if there is none; it begins when a node has room."""
        if self._actor is None:
            kind = import_ray().remote(
                num_cpus=self._request.cpus,
                num_gpus=self._request.gpus,
                max_restarts=0,  # the scheduler gives its job to another one, elsewhere if need be
                concurrency_groups={"aside": 1},
            )(RayActor)
            self._actor = kind.remote(self._make)
            self.awaited = self._actor.is_there.remote()

    def begin(self, work: bytes) -> None:
        self._number, self._n_reports, self._asked = self._number + 1, 0, None
        self.awaited = self._actor.do.remote(work, self._number)

    def receive(self) -> tuple[Any, ...] | None:
        try:
            return self._receive()
        except import_ray().exceptions.RayError as error:
            message = str(error)
            reason = _reason_in(message)
            if not self.is_ready:
                self.failed_starts, self.failure = self.failed_starts + 1, reason
            raise WorkerLost(reason, message) from error

    def _receive(self) -> tuple[Any, ...] | None:
        ray = import_ray()
        if _is_answered(self.awaited):
            answer, self.awaited = ray.get(self.awaited), None
            if self.is_ready:
                return unpickled(answer)
            self.is_ready, self.failed_starts = True, 0
            return ("ready",)
        if self.job and self._asked is None:
            self._asked = self._aside("news")
        elif self.job and _is_answered(self._asked):
            news, self._asked = ray.get(self._asked), None
            number, n_reports, share, text = news
            if number == self._number and n_reports > self._n_reports:
                self._n_reports = n_reports
                return "share", share, text
        return None

    def ask_to_end(self) -> None:
        if self.job and self.is_ready:
            self._aside("stop")

    def end(self, until_sec: float) -> str:
        """End the actor, if need be by force; Ray keeps its last lines for itself."""
        if self.job and self.awaited is not None:
            wait_sec = max(0.0, until_sec - time.monotonic())
            import_ray().wait([self.awaited], timeout=wait_sec)
        if self._actor is not None:
            import_ray().kill(self._actor)
        self._actor = self._asked = self.awaited = None
        self.is_ready = False
        return ""

    def _aside(self, method: str) -> Any:
        """Call a method that is answered while a job is done."""
        return getattr(self._actor, method).options(concurrency_group="aside").remote()


def _is_answered(reference: Any) -> bool:
    return reference is not None and bool(import_ray().wait([reference], timeout=0)[0])


def _reason_in(message: str) -> str:
    """The sentence that matters in a message of Ray.

    >>> _reason_in("The actor died.\\n\\tpid: 3\\nThe actor is dead because its node has died. No")
    'the actor is dead because its node has died'
    >>> _reason_in("The actor died because of an error raised in its creation\\n F\\nKeyError: b")
    'KeyError: b'
    """
    lines = message.splitlines() or ["no reason is known"]
    because = [line for line in lines if line.startswith("The actor is dead because")]
    if "in its creation" in lines[0]:
        because = lines[-1:]
    sentence = (because or lines)[0].split(". ")[0]
    return sentence.replace("The actor", "the actor", 1)
