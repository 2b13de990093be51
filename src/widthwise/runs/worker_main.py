"""The inside of a worker process of `Processes`: takes jobs from a pipe and does them."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
from functools import partial
from multiprocessing.connection import Connection
from typing import NoReturn

from .job_runner import JobRunner, WorkerTerminated, pickled
from .protocol import ProgressCallback, Worker

_LOOKS_PER_SEC = 4  # how often a worker looks whether the main process is still there
_GRACE_SEC = 0.5  # for putting away what is held once the main process is gone
_TELLS_PER_SEC = 20  # a share that follows another sooner is not reported


def main(descriptor: int, parent: int) -> None:
    """Do jobs until the pipe is closed or SIGTERM comes.

    The first message is the pickled pair of a `WorkerFactory` and its device, each further one a
    job's work. Answers are pickled tuples: `("ready",)` once, `("share", share, text)`,
    `("done", result)` and `("raised", reason, details, spoiled)`.

    Args:
        descriptor: The worker's end of the pipe.
        parent: Process id of the main process; this one does not outlive it.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGTERM, _end)
    faulthandler.enable()  # a segmentation fault says where
    try:
        with Connection(descriptor) as pipe:
            _serve(pipe)
    except WorkerTerminated:
        sys.exit(128 + signal.SIGTERM)


def _watch(parent: int) -> None:
    """End with the main process, even if that was killed and could not ask for it."""
    while os.getppid() == parent:
        time.sleep(1 / _LOOKS_PER_SEC)
    os.killpg(0, signal.SIGTERM)  # with the processes started here: the group is this worker's
    time.sleep(_GRACE_SEC)
    os.killpg(0, signal.SIGKILL)


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would break into the tidying up
    raise WorkerTerminated


def _serve(pipe: Connection) -> None:
    make = pipe.recv_bytes()
    runner = JobRunner(lambda: _made(make))
    pipe.send_bytes(pickled(("ready",)))
    while True:
        try:
            work = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send_bytes(pickled(runner.do(partial(pickle.loads, work), _sharing(pipe))))


def _made(make: bytes) -> Worker:
    function, device = pickle.loads(make)
    worker: Worker = function(device)
    return worker


def _sharing(pipe: Connection) -> ProgressCallback:
    """What sends shares, but not too many."""
    told_sec = 0.0

    def share(share: float, text: str) -> None:
        nonlocal told_sec
        now = time.monotonic()
        if now - told_sec > 1 / _TELLS_PER_SEC:
            told_sec = now
            pipe.send_bytes(pickled(("share", share, text)))

    return share
