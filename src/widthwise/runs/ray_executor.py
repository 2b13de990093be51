"""Jobs done by workers in a Ray cluster."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence

from ..errors import RunError
from .protocol import WorkerFactory
from .ray_cluster import ResourceRequest, capacity, connect, disconnect, import_ray, nodes
from .ray_worker import RayWorker
from .scheduler import Scheduler, WorkerHandle

_LOOK_SEC = 0.5  # how often workers are asked for news


class RayExecutor(Scheduler):
    """Does jobs in actors of a Ray cluster, each of which keeps its worker.

    The cluster is the one at `address`, or that of RAY_ADDRESS, or one that is begun on this
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

    def _prepare(self) -> None:
        self._lived_sec = time.monotonic()

    def _wait(self, busy: Sequence[WorkerHandle], seconds: float) -> None:
        for actor in self._actors:
            actor.start()
        self._require_a_worker()
        awaited = [actor.awaited for actor in self._actors if actor.awaited is not None]
        if awaited:
            import_ray().wait(awaited, num_returns=1, timeout=min(seconds, _LOOK_SEC))

    def _require_a_worker(self) -> None:
        """Raise RunError if there is no worker any more and none can be waited for."""
        if sum(actor.failed_starts for actor in self._actors) >= self._attempts * len(self._actors):
            failure = next(actor.failure for actor in self._actors if actor.failed_starts)
            raise RunError(f"no worker can begin on the Ray cluster: {failure}.")
        now = time.monotonic()
        if any(actor.is_ready for actor in self._actors):
            self._lived_sec = now
            return
        capacity(self._request)
        if now - self._lived_sec > self._patience_sec:
            raise RunError(
                f"no worker could begin on the Ray cluster for {self._patience_sec:g} s: its nodes "
                f"have room for one, which takes {self._request}, but others may use it."
            )
