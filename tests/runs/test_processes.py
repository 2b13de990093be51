"""Workers on this machine: what they tell, that they are replaced, and that none stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy_worker
from toy_worker import Toy, is_gone, jobs_of, kinds, last_of, noted, results_of, unmade, wait_until

from widthwise.runs import (
    Executor,
    Failed,
    Finished,
    InProcess,
    Job,
    Processes,
    Progressed,
    Retrying,
    Started,
)

ENGINES: dict[str, Callable[[Any], Executor]] = {
    "here": lambda make: InProcess(make, "cpu"),
    "local": lambda make: Processes(make, ["cpu"]),
}


@pytest.fixture(params=ENGINES)
def any_engine(request: Any) -> Iterator[Executor]:
    with ENGINES[request.param](Toy) as engine:
        yield engine


@pytest.fixture
def pids(tmp_path: Path) -> str:
    """Where workers note their process."""
    return str(tmp_path / "pids")


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


def test_process_is_replaced_after_what_may_have_spoiled_it() -> None:
    with Processes(Toy, ["cpu"]) as engine:
        places = results_of(engine, jobs_of(("place",), ("fail",), ("place",)))
    assert places["place 0"][1] != places["place 2"][1]


def test_worker_that_cannot_be_made_fails_its_jobs() -> None:
    for make_engine in ENGINES.values():
        with make_engine(unmade) as engine:
            last = last_of(list(engine.run(jobs_of(("double", 1), ("double", 2)))))
        assert [e.reason for e in last.values()] == ["ValueError: no cpu here"] * 2  # type: ignore[union-attr]


def test_two_jobs_of_one_key_are_refused(any_engine: Executor) -> None:
    job = jobs_of(("double", 3))[0]
    with pytest.raises(ValueError, match=r"two jobs have one key: \['double 0', 'double 0'\]"):
        list(any_engine.run([job, job]))


def test_jobs_here_end_when_nobody_waits(pids: str) -> None:
    with InProcess(Toy, "cpu") as engine:
        for event in engine.run(jobs_of(("spin", pids))):
            if isinstance(event, Progressed):
                wait_until(lambda: noted(pids))
                break
    assert noted(pids) == [os.getpid()] * 2  # its `finally` has run


def test_local_gives_what_here_gives() -> None:
    jobs = jobs_of(("double", 3), ("big", 300_000), ("double", 4), ("variable", "HOME"))
    with InProcess(Toy, "cpu") as here, Processes(Toy, ["cpu", "cpu"]) as local:
        assert local.workers == ("cpu", "cpu#2")
        assert results_of(local, jobs) == results_of(here, jobs)


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


def test_shares_are_told_a_few_times_a_second_and_in_order() -> None:
    with Processes(Toy, ["cpu"]) as engine:
        events = list(engine.run(jobs_of(("chatter", 5000))))
    shares = [event.share for event in events if isinstance(event, Progressed)]
    assert shares == sorted(shares)
    assert 1 <= len(shares) < 2500  # 5000 take far less than the 125 s of 20 a second


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
    monkeypatch.setattr("widthwise.runs.scheduler.GRACE_SEC", 0.2)  # frozen: cannot tidy up
    with Processes(Toy, ["cpu", "cpu"], patience_sec=1.5) as engine:
        events = list(engine.run(jobs_of((how, pids, 1), ("double", 3))))
    assert [(e.reason, e.attempt) for e in events if isinstance(e, Retrying)] == [
        ("the worker said nothing for 1.5 s", 2)
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


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from toy_worker import Toy, jobs_of
from widthwise.runs import Processes
with Processes(Toy, ["cpu", "cpu"]) as engine:
    list(engine.run(jobs_of(("tidy", *sys.argv[1:]), ("child", sys.argv[1]))))
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_main_process(sent: signal.Signals, pids: str, tmp_path: Path) -> None:
    """Also: a script without `if __name__ == "__main__"` runs."""
    script, held = tmp_path / "script.py", tmp_path / "held"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(toy_worker.__file__).parent), *sys.path])
    main = subprocess.Popen(
        [sys.executable, str(script), pids, str(held)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    with main:
        wait_until(lambda: len(noted(pids)) == 3 or main.poll() is not None)
        main.send_signal(sent)
        main.wait()
    assert main.returncode == -sent
    wait_until(lambda: all(is_gone(pid) for pid in noted(pids)))
    assert len(noted(pids)) == 3
    assert not held.exists()
