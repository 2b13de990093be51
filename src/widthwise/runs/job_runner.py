"""One job, done where the worker lives."""

from __future__ import annotations

import ctypes
import pickle
import threading
import traceback
from collections.abc import Callable
from typing import Any

from ..errors import WidthwiseError
from .protocol import ProgressCallback, Worker

_LAST_LINES = 12


class WorkerTerminated(BaseException):
    """The process of a worker is asked to end; whoever holds something can put it away."""


class JobRunner:
    """Makes its worker at the first job, and again after one that may have spoiled it."""

    def __init__(self, make: Callable[[], Worker]) -> None:
        self._make = make
        self._worker: Worker | None = None

    def do(self, work: Callable[[], Any], on_share: ProgressCallback) -> tuple[Any, ...]:
        """Do the work; return `("done", result)` or `("raised", reason, details, spoiled)`."""
        try:
            if self._worker is None:
                self._worker = self._make()
            return ("done", self._worker.do(work(), on_share))
        except WorkerTerminated:
            raise
        except BaseException as error:  # SystemExit too: a job does not end its worker
            outcome = describe_exception(error)
            if outcome[-1]:
                self._worker = None
            return outcome


def describe_exception(error: BaseException) -> tuple[str, str, str, bool]:
    """What is reported of an error: `("raised", reason, details, spoiled)`.

    After some errors of CUDA every further call in the process fails. Only what widthwise itself
    raises is known to leave a worker as it was; after anything else it counts as spoiled.

    >>> describe_exception(ValueError("no such width"))
    ('raised', 'ValueError: no such width', 'ValueError: no such width', True)
    """
    first = (str(error).splitlines() or [""])[0]
    reason = f"{type(error).__name__}: {first}".rstrip(": ")
    lines = "".join(traceback.format_exception(error)).splitlines()[-_LAST_LINES:]
    return "raised", reason, "\n".join(lines), not isinstance(error, WidthwiseError)


def pickled(answer: tuple[Any, ...]) -> bytes:
    """The answer as it travels, or that it cannot."""
    try:
        return pickle.dumps(answer)
    except Exception as error:
        return pickle.dumps(describe_exception(error))


def unpickled(data: bytes) -> tuple[Any, ...]:
    """The answer that arrived, or why it cannot be read here."""
    try:
        answer: tuple[Any, ...] = pickle.loads(data)
        return answer
    except Exception as error:
        return describe_exception(error)


def interrupt(thread_id: int) -> None:
    """End a thread at its next step of Python, as Ctrl-C ends the main one."""
    if any(thread.ident == thread_id for thread in threading.enumerate()):
        error = ctypes.py_object(SystemExit)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), error)
