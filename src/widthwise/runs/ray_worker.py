"""One worker in a Ray cluster: the actor there, and its handle here."""

from __future__ import annotations

import pickle
import threading
import time
from functools import partial
from typing import Any

from .job_runner import JobRunner, interrupt, pickled, unpickled
from .protocol import Worker
from .ray_cluster import ResourceRequest, import_ray
from .scheduler import WorkerHandle, WorkerLost


class RayActor:
    """A worker in a process of a Ray cluster. `do` runs in a thread beside the other methods.

    Args:
        make: The pickled `WorkerFactory`.
    """

    def __init__(self, make: bytes) -> None:
        self._runner = JobRunner(lambda: _make_worker(make))
        self._thread_id = 0
        self._news = (0, 0, 0.0, "")

    def is_there(self) -> bool:
        """Answers once the process has begun."""
        return True

    def do(self, work: bytes, number: int) -> bytes:
        """Do a pickled work, the `number`-th; return the pickled answer of `JobRunner.do`."""
        self._thread_id = threading.get_ident()
        self._news = (number, 0, 0.0, "")
        return pickled(self._runner.do(partial(pickle.loads, work), self._share))

    def news(self) -> tuple[int, int, float, str]:
        """Number of the work, how many shares of it were told so far, and the latest."""
        return self._news

    def stop(self) -> None:
        """Break the job off, so that it can put away what it holds."""
        interrupt(self._thread_id)

    def _share(self, share: float, text: str) -> None:
        number, n_told, *_ = self._news
        self._news = (number, n_told + 1, share, text)


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
        failed_starts: How many actors in a row ended before they had begun.
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
        self._n_told = 0

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
        self._number, self._n_told, self._asked = self._number + 1, 0, None
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
            number, n_told, share, text = news
            if number == self._number and n_told > self._n_told:
                self._n_told = n_told
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
