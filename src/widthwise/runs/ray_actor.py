"""What a Ray cluster keeps for `RayExecutor`: a worker, and the latest share that it told."""

from __future__ import annotations

import pickle
import threading
from functools import partial

from .job_runner import JobRunner, interrupt, pickled
from .protocol import Worker
from .ray_cluster import import_ray


class RayActor:
    """A worker in a process of a Ray cluster. `do` runs in a thread beside the other methods.

    Args:
        make: The pickled `WorkerFactory`.
    """

    def __init__(self, make: bytes) -> None:
        self._doer = JobRunner(lambda: _made(make))
        self._thread_id = 0
        self._news = (0, 0, 0.0, "")

    def is_there(self) -> bool:
        """Answers once the process has begun."""
        return True

    def do(self, work: bytes, turn: int) -> bytes:
        """Do a pickled work, the `turn`-th; return the pickled answer of `JobRunner.do`."""
        self._thread_id = threading.get_ident()
        self._news = (turn, 0, 0.0, "")
        return pickled(self._doer.do(partial(pickle.loads, work), self._share))

    def news(self) -> tuple[int, int, float, str]:
        """At which turn how many shares were told so far, and the latest."""
        return self._news

    def stop(self) -> None:
        """Break the job off, so that it can put away what it holds."""
        interrupt(self._thread_id)

    def _share(self, share: float, text: str) -> None:
        turn, n_told, *_ = self._news
        self._news = (turn, n_told + 1, share, text)


def _made(make: bytes) -> Worker:
    """The worker on the device that Ray gave to this actor, which sees no other."""
    has_gpu = import_ray().get_runtime_context().get_accelerator_ids().get("GPU")
    worker: Worker = pickle.loads(make)("cuda:0" if has_gpu else "cpu")
    return worker
