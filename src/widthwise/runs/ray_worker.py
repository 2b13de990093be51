"""One worker in a Ray cluster as the main process sees it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from .job_runner import unpickled
from .protocol import Job
from .ray_actor import RayActor
from .ray_cluster import ResourceRequest, import_ray

_GRACE_SEC = 5.0  # for a worker to put away what it holds when it is asked to end


class WorkerLost(Exception):
    """The actor is no more: why, and all that Ray says of it."""

    def __init__(self, reason: str, details: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


class RayWorker:
    """A place for an actor; who is there may change.

    Args:
        name: The worker's name.
        make: Pickled, what makes the worker.
        need: What it takes of a node.
    """

    def __init__(self, name: str, make: bytes, need: ResourceRequest) -> None:
        self.name = name
        self.job: Job | None = None
        self.heard_sec = 0.0
        self.is_there = False
        self.awaited: Any = None  # the answer to the job, or first that the actor is there
        self._make = make
        self._need = need
        self._actor: Any = None
        self._asked: Any = None  # for news
        self._turn = 0
        self._n_told = 0

    def fill(self) -> None:
        """Ask for an actor if there is none; it begins when a node has room."""
        if self._actor is None:
            kind = import_ray().remote(
                num_cpus=self._need.cpus,
                num_gpus=self._need.gpus,
                max_restarts=0,  # the engine does jobs again itself, elsewhere if need be
                concurrency_groups={"aside": 1},
            )(RayActor)
            self._actor = kind.remote(self._make)
            self.awaited = self._actor.is_there.remote()

    def begin(self, job: Job, work: bytes) -> None:
        """Give the job to the actor, which must be there."""
        self.job, self.heard_sec = job, time.monotonic()
        self._turn, self._n_told, self._asked = self._turn + 1, 0, None
        self.awaited = self._actor.do.remote(work, self._turn)

    def receive(self) -> tuple[Any, ...] | None:
        """What there is to hear: `("share", share, text)`, or an answer of `JobRunner.do`, or None.

        Raises:
            Lost: The actor or its node is no more.
        """
        if _is_ready(self.awaited):
            answer, self.awaited = _get(self.awaited), None
            if self.is_there:
                return unpickled(answer)
            self.is_there = True
            return None
        if self.job and self._asked is None:
            self._asked = self._aside("news")
        elif self.job and _is_ready(self._asked):
            news, self._asked = _get(self._asked), None
            turn, n_told, share, text = news
            if turn == self._turn and n_told > self._n_told:
                self._n_told, self.heard_sec = n_told, time.monotonic()
                return "share", share, text
        return None

    def ask_to_end(self) -> None:
        if self.job:
            self._aside("stop")

    def end(self, until_sec: float | None = None) -> None:
        """End the actor, if need be by force.

        Args:
            until_sec: When, if its job does not end before as asked, by `time.monotonic`.
        """
        if self.job and self.awaited is not None:
            until_sec = until_sec or time.monotonic() + _GRACE_SEC
            import_ray().wait([self.awaited], timeout=max(0.0, until_sec - time.monotonic()))
        if self._actor is not None:
            import_ray().kill(self._actor)
        self._actor = self._asked = self.awaited = self.job = None
        self.is_there = False

    def _aside(self, method: str) -> Any:
        """Call a method that is answered while a job is done."""
        return getattr(self._actor, method).options(concurrency_group="aside").remote()


def end_all(places: Iterable[RayWorker]) -> None:
    """End the actors of all places, asked at the same time."""
    places = list(places)
    for place in places:
        place.ask_to_end()
    until_sec = time.monotonic() + _GRACE_SEC
    for place in places:
        place.end(until_sec)


def _is_ready(reference: Any) -> bool:
    return reference is not None and bool(import_ray().wait([reference], timeout=0)[0])


def _get(reference: Any) -> Any:
    try:
        return import_ray().get(reference)
    except import_ray().exceptions.RayError as error:
        raise WorkerLost(_why(str(error)), str(error)) from error


def _why(message: str) -> str:
    """The sentence that matters in a message of Ray.

    >>> _why("The actor died.\\n\\tpid: 3\\nThe actor is dead because its node has died. Node: 7")
    'the actor is dead because its node has died'
    >>> _why("The actor died because of an error raised in its creation\\n  File a\\nKeyError: b")
    'KeyError: b'
    """
    lines = message.splitlines() or ["no reason is known"]
    because = [line for line in lines if line.startswith("The actor is dead because")]
    if "in its creation" in lines[0]:
        because = lines[-1:]
    sentence = (because or lines)[0].split(". ")[0]
    return sentence.replace("The actor", "the actor", 1)
