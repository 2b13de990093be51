"""What every executor does: jobs in order, shares, failures, workers that stay or are replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from toy_worker import Toy, jobs_of, kinds, last_of, results_of, unmade

from widthwise.runs import (
    Executor,
    Failed,
    Finished,
    InProcess,
    Job,
    Processes,
    Progressed,
)

ENGINES: dict[str, Callable[[Any], Executor]] = {
    "here": lambda make: InProcess(make, "cpu"),
    "local": lambda make: Processes(make, ["cpu"]),
}


@pytest.fixture(params=ENGINES)
def any_engine(request: Any) -> Iterator[Executor]:
    with ENGINES[request.param](Toy) as engine:
        yield engine


def test_every_job_is_begun_told_of_and_done_in_order(any_engine: Executor) -> None:
    jobs = jobs_of(("double", 3), ("double", 5))
    events = list(any_engine.run(jobs))
    assert kinds(events) == ["Started", "Progressed", "Finished"] * 2
    assert [event.job for event in events] == [jobs[0]] * 3 + [jobs[1]] * 3
    assert {event.worker for event in events} == {"cpu"} == set(any_engine.workers)
    assert [(e.share, e.text) for e in events if isinstance(e, Progressed)] == [
        (0.5, "half of double")
    ] * 2
    assert [e.result for e in events if isinstance(e, Finished)] == [6, 10]


def test_worker_stays_for_further_jobs_and_runs(any_engine: Executor) -> None:
    first = results_of(any_engine, jobs_of(("place",), ("double", 1), ("place",)))
    second = results_of(any_engine, jobs_of(("place",)))
    assert first["place 0"] == first["place 2"] == second["place 0"]


def test_exception_is_told_and_not_tried_again(any_engine: Executor) -> None:
    last = last_of(list(any_engine.run(jobs_of(("fail",), ("leave",), ("double", 3)))))
    failed = last["fail 0"]
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.attempts) == ("RuntimeError: no such thing", 1)
    assert "in fail" in failed.details  # where it was raised
    assert failed.details.endswith("at all")
    assert last["leave 1"] == Failed(
        worker="cpu",
        job=last["leave 1"].job,
        reason="SystemExit: 7",
        attempts=1,
        details=last["leave 1"].details,  # type: ignore[union-attr]
    )
    assert isinstance(last["double 2"], Finished)


def test_worker_is_replaced_after_what_may_have_spoiled_it(any_engine: Executor) -> None:
    jobs = jobs_of(("place",), ("refuse",), ("place",), ("fail",), ("place",))
    places = results_of(any_engine, jobs)
    assert places["place 0"] == places["place 2"] != places["place 4"]


def test_worker_that_cannot_be_made_fails_its_jobs() -> None:
    for make_engine in ENGINES.values():
        with make_engine(unmade) as engine:
            last = last_of(list(engine.run(jobs_of(("double", 1), ("double", 2)))))
        assert [e.reason for e in last.values()] == ["ValueError: no cpu here"] * 2  # type: ignore[union-attr]


def test_a_job_waits_for_the_worker_that_it_names() -> None:
    """Though the other one is free."""
    names = ["cpu#2", "cpu", "cpu#2", "cpu#2"]
    jobs = [
        Job(key=str(number), label="", work=("place",), worker=name)
        for number, name in enumerate(names)
    ]
    with Processes(Toy, ["cpu", "cpu"]) as engine:
        done = [event for event in engine.run(jobs) if isinstance(event, Finished)]
    assert {event.job.key: event.worker for event in done} == dict(zip("0123", names, strict=True))
    places = {event.worker: event.result for event in done}
    assert all(event.result == places[event.worker] for event in done)
    assert places["cpu"] != places["cpu#2"]


def test_two_jobs_of_one_key_are_refused(any_engine: Executor) -> None:
    job = jobs_of(("double", 3))[0]
    with pytest.raises(ValueError, match=r"two jobs have one key: \['double 0', 'double 0'\]"):
        list(any_engine.run([job, job]))
