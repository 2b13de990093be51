"""One job: its answer, its failure, and the worker that is made anew after what may spoil it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from toy_worker import Toy, unmade

from widthwise.runs.job_runner import JobRunner, WorkerTerminated, interrupt, pickled, unpickled


def do(runner: JobRunner, *work: Any) -> tuple[Any, ...]:
    return runner.do(lambda: work, lambda *_: None)


def test_a_worker_is_made_once_and_anew_after_what_is_no_known_error() -> None:
    made: list[Toy] = []

    def make() -> Toy:
        made.append(Toy("cpu"))
        return made[-1]

    runner = JobRunner(make)
    assert do(runner, "double", 3) == ("done", 6)
    assert do(runner, "refuse")[:2] == ("raised", "RunError: not with this model")
    assert len(made) == 1
    kind, reason, details, is_spoiled = do(runner, "fail")
    assert (kind, reason, is_spoiled) == ("raised", "RuntimeError: no such thing", True)
    assert details.endswith("at all")
    assert do(runner, "double", 4) == ("done", 8)
    assert len(made) == 2


def test_a_worker_that_cannot_be_made_is_a_failure_of_its_job() -> None:
    assert do(JobRunner(lambda: unmade("cpu")), "double", 3)[1] == "ValueError: no cpu here"


def test_what_ends_the_process_is_not_kept() -> None:
    class Ends:
        def do(self, work: Any, on_share: Any) -> Any:
            raise WorkerTerminated

    with pytest.raises(WorkerTerminated):
        do(JobRunner(Ends), "anything")


def test_an_answer_that_cannot_travel_says_so() -> None:
    assert unpickled(pickled(("done", 3))) == ("done", 3)
    kind, reason, _, _ = unpickled(pickled(("done", lambda: None)))
    assert kind == "raised"
    assert "pickle" in reason
    assert unpickled(b"no pickle")[0] == "raised"


def test_a_thread_is_interrupted_at_its_next_step() -> None:
    has_begun, ended = threading.Event(), list[bool]()

    def spin() -> None:
        try:
            has_begun.set()
            for _ in range(6000):
                time.sleep(0.01)
        except SystemExit:
            ended.append(True)

    thread = threading.Thread(target=spin)
    thread.start()
    has_begun.wait()
    interrupt(thread.ident or 0)
    thread.join()
    assert ended == [True]
    interrupt(thread.ident or 0)  # it is no more: nothing happens
