"""Jobs in this process: they end when nobody waits, and give what worker processes give."""

from __future__ import annotations

import os

from toy_worker import Toy, jobs_of, noted, results_of, wait_until

from widthwise.runs import InProcess, Processes, Progressed


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
