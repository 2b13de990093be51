"""Workers on this machine: what they tell, that they are replaced, and that none stays behind."""

from __future__ import annotations

import os
import signal
from math import inf
from pathlib import Path

import pytest
from toy_worker import Toy, is_gone, jobs_of, kinds, last_of, noted, results_of, wait_until

from widthwise.runs import (
    Event,
    Failed,
    Finished,
    Job,
    Processes,
    Progressed,
    Retrying,
    Started,
)


def test_process_is_replaced_after_what_may_have_spoiled_it() -> None:
    with Processes(Toy, ["cpu"]) as engine:
        places = results_of(engine, jobs_of(("place",), ("fail",), ("place",)))
    assert places["place 0"][1] != places["place 2"][1]


def test_alone_means_that_nothing_else_runs() -> None:
    alone = jobs_of(("interval", 0.05), ("interval", 0.05), alone=True)
    shared = [Job(key=f"shared {i}", label="", work=("interval", 0.2)) for i in range(4)]
    with Processes(Toy, ["cpu", "cpu"]) as engine:
        events = list(engine.run([*alone, *shared]))
    spans = {e.job.key: e.result for e in events if isinstance(e, Finished)}
    begun = [e.job.key for e in events if isinstance(e, Started)]
    assert begun == ["shared 0", "shared 1", "shared 2", "shared 3", "interval 0", "interval 1"]
    assert max(spans[job.key][1] for job in shared) <= spans["interval 0"][0]
    assert spans["interval 0"][1] <= spans["interval 1"][0]
    order = [(type(e), e.job.key) for e in events]  # else nothing was handed out side by side
    assert order.index((Started, "shared 1")) < order.index((Finished, "shared 0"))
    assert {e.worker for e in events if e.job.alone} == {"cpu"}  # all timings on one device


def test_workers_share_the_cores_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    jobs = jobs_of(("variable", "OMP_NUM_THREADS"))
    for devices, threads in ((["cpu"], None), (["cpu", "cpu", "cpu"], "4")):
        with Processes(Toy, devices) as engine:
            assert results_of(engine, jobs) == {"variable 0": threads}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with Processes(Toy, ["cpu", "cpu"]) as engine:
        assert results_of(engine, jobs) == {"variable 0": "5"}


def test_large_result_and_work_pass() -> None:
    size = 20_000_000  # a pipe holds some 0.2 MB
    jobs = [*jobs_of(("big", size)), Job(key="in", label="", work=("size", b"y" * size))]
    with Processes(Toy, ["cpu"]) as engine:
        results = results_of(engine, jobs)
    assert (len(results["big 0"]), results["in"]) == (size, size)


def test_what_cannot_be_pickled_is_said() -> None:
    jobs = [*jobs_of(("unpicklable",), ("double", 3)), Job(key="in", label="", work=lambda: None)]
    with Processes(Toy, ["cpu"]) as engine:
        last = last_of(list(engine.run(jobs)))
    assert isinstance(last["double 1"], Finished)
    for key in ("unpicklable 0", "in"):
        assert "pickle" in last[key].reason  # type: ignore[union-attr]


def test_dead_worker_is_replaced_and_its_job_done_again(pids: str) -> None:
    with Processes(Toy, ["cpu"]) as engine:
        events = list(engine.run(jobs_of(("die", pids, 1), ("double", 3))))
    assert kinds(events) == [
        "Started",
        "Progressed",
        "Retrying",
        "Started",
        "Progressed",
        "Finished",
        "Started",
        "Progressed",
        "Finished",
    ]
    again = events[2]
    assert isinstance(again, Retrying)
    assert again.reason == "the worker was ended by SIGKILL, as when memory runs out"
    assert again.attempt == 2
    assert last_of(events)["die 0"].result == 2  # type: ignore[union-attr]


def test_job_that_always_kills_its_worker_is_given_up(pids: str) -> None:
    works = (("die", pids, 9, signal.SIGSEGV), ("double", 3))
    with Processes(Toy, ["cpu"], attempts=2) as engine:
        last = last_of(list(engine.run(jobs_of(*works))))
    failed = last["die 0"]
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.attempts) == ("the worker was ended by SIGSEGV", 2)
    assert "last words 2" in failed.details
    assert "in die" in failed.details  # where the fault was
    assert isinstance(last["double 1"], Finished)


def test_worker_that_dies_while_it_waits_is_replaced() -> None:
    with Processes(Toy, ["cpu"]) as engine:
        _, pid, _ = results_of(engine, jobs_of(("place",)))["place 0"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid))
        events = list(engine.run(jobs_of(("double", 3))))
    assert kinds(events) == ["Started", "Progressed", "Finished"]  # not the fault of the job


@pytest.mark.parametrize("how", ["hang", "freeze"])
def test_silent_worker_is_replaced(how: str, pids: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence counts from where the other worker is done too, as a start may take long here."""
    monkeypatch.setattr("widthwise.runs.scheduler.GRACE_SEC", 0.2)  # frozen: cannot tidy up
    events: list[Event] = []
    with Processes(Toy, ["cpu", "cpu"], patience_sec=inf) as engine:
        for event in engine.run(jobs_of((how, pids, 1), ("double", 3))):
            events.append(event)
            shared = {e.job.key for e in events if isinstance(e, Progressed)}
            is_silent = {"Finished", "Retrying"} & set(kinds(events)) == {"Finished"}
            if is_silent and f"{how} 0" in shared:
                wait_until(lambda: noted(pids))
                engine._patience_sec = 0.2
            else:
                engine._patience_sec = inf
    assert [(e.reason, e.attempt) for e in events if isinstance(e, Retrying)] == [
        ("the worker said nothing for 0.2 s", 2)
    ]
    assert last_of(events)[f"{how} 0"].result == 2  # type: ignore[union-attr]
    wait_until(lambda: all(is_gone(pid) for pid in noted(pids)))


def test_what_workers_write_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with Processes(Toy, ["cpu"]) as engine:
        results_of(engine, jobs_of(("shout",)))
    assert capfd.readouterr() == ("", "")


def test_close_leaves_no_process_and_lets_workers_tidy_up(pids: str, tmp_path: Path) -> None:
    held = tmp_path / "held"
    with Processes(Toy, ["cpu", "cpu"]) as engine:
        running = engine.run(jobs_of(("tidy", pids, str(held)), ("child", pids)))
        n_shared = 0
        while n_shared < 2:
            n_shared += isinstance(next(running), Progressed)
        wait_until(lambda: len(noted(pids)) == 3)
        assert held.exists()
    assert not held.exists()
    wait_until(lambda: all(is_gone(pid) for pid in noted(pids)))  # killed, the child dies soon


def test_run_broken_off_ends_its_work_and_leaves_the_engine_usable(pids: str) -> None:
    with Processes(Toy, ["cpu"]) as engine:
        for event in engine.run(jobs_of(("sleep", 60, pids))):
            if isinstance(event, Progressed):
                break
        wait_until(lambda: all(is_gone(pid) for pid in noted(pids)))
        assert results_of(engine, jobs_of(("double", 3))) == {"double 0": 6}
