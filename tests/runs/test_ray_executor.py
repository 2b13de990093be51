"""Workers in a Ray cluster on this machine, all on the loopback address."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import toy_worker
from toy_worker import Toy, is_gone, jobs_of, kinds, last_of, noted, results_of, wait_until

from widthwise.errors import RunError
from widthwise.runs import (
    Failed,
    Finished,
    InProcess,
    Job,
    Progressed,
    RayExecutor,
    Retrying,
    Started,
)

# Read when Ray is imported: bind to 127.0.0.1 and not to all addresses.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

pytestmark = pytest.mark.long
ray = pytest.importorskip("ray", reason="the package ray is not installed")

SOON = {  # a dead node is noticed within a second, by default it takes some fifteen
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 200,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="module")
def importable() -> Iterator[None]:
    """Nodes find the toys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(toy_worker.__file__).parent))
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # Ray looks for the GPU of a node there
        yield


@pytest.fixture(scope="module")
def cluster(importable: None) -> Iterator[Any]:
    """A node with three CPUs and what it says is a GPU."""
    from ray.cluster_utils import Cluster

    head = {"include_dashboard": False, "_system_config": SOON, "num_cpus": 3, "num_gpus": 1}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


@contextmanager
def ray_at(cluster: Any) -> Iterator[None]:
    """This process is at the cluster."""
    ray.init(cluster.address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


@pytest.fixture
def pids(tmp_path: Path) -> str:
    return str(tmp_path / "pids")


def test_ray_gives_what_here_gives(cluster: Any) -> None:
    jobs = jobs_of(("double", 3), ("big", 3_000_000), ("double", 4), ("fail",), ("unpicklable",))
    jobs.append(Job(key="in", label="", work=lambda: None))
    with (
        InProcess(Toy, "cpu") as here,
        RayExecutor(Toy, address=cluster.address, gpus_per_worker=0) as engine,
    ):
        assert engine.workers == ("ray:0", "ray:1", "ray:2")
        there = last_of(list(engine.run(jobs)))
        same = last_of(list(here.run(jobs)))
        first = results_of(engine, jobs_of(("place",), alone=True))  # in another run
        assert results_of(engine, jobs_of(("place",), alone=True)) == first
    assert first["place 0"][0] == "cpu"
    assert first["place 0"][1] != os.getpid()
    for key in ("double 0", "big 1", "double 2"):
        assert there[key].result == same[key].result  # type: ignore[union-attr]
    failed = there["fail 3"]
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.attempts) == ("RuntimeError: no such thing", 1)
    assert "in fail" in failed.details
    assert "pickle" in there["unpicklable 4"].reason  # type: ignore[union-attr]
    assert "pickle" in there["in"].reason  # type: ignore[union-attr]


def test_parts_of_a_gpu(cluster: Any) -> None:
    with RayExecutor(
        Toy, address=cluster.address, gpus_per_worker=0.5, cpus_per_worker=0.5
    ) as engine:
        assert len(engine.workers) == 2
        device, *_ = results_of(engine, jobs_of(("place",)))["place 0"]
    assert device == "cuda:0"


def test_one_gpu_each_if_there_are_any(cluster: Any) -> None:
    with RayExecutor(Toy, address=cluster.address) as engine:
        assert engine.workers == ("ray:0",)


def test_alone_means_that_nothing_else_runs(cluster: Any) -> None:
    alone = jobs_of(("interval", 0.05), ("interval", 0.05), alone=True)
    shared = [Job(key=f"shared {i}", label="", work=("interval", 0.6)) for i in range(3)]
    with RayExecutor(Toy, address=cluster.address, gpus_per_worker=0) as engine:
        events = list(engine.run([*alone, *shared]))
    spans = {e.job.key: e.result for e in events if isinstance(e, Finished)}
    begun = [e.job.key for e in events if isinstance(e, Started)]
    assert begun == ["shared 0", "shared 1", "shared 2", "interval 0", "interval 1"]
    assert max(spans[job.key][1] for job in shared) <= spans["interval 0"][0]
    assert spans["interval 0"][1] <= spans["interval 1"][0]
    assert len({e.worker for e in events if e.job.alone}) == 1


def test_a_share_is_told_while_its_job_runs(cluster: Any, pids: str, tmp_path: Path) -> None:
    """The job ends when its share was heard here, however long that takes."""
    opened = tmp_path / "opened"
    with RayExecutor(Toy, address=cluster.address, gpus_per_worker=0) as engine:
        heard = []
        for event in engine.run(jobs_of(("gate", pids, str(opened)))):
            heard.append(event)
            if isinstance(event, Progressed):
                opened.touch()
    shares = [event.share for event in heard if isinstance(event, Progressed)]
    assert set(shares) == {0.5}
    assert isinstance(heard[-1], Finished)
    assert heard[-1].result == "passed"


def test_dead_worker_is_replaced(
    cluster: Any, pids: str, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = jobs_of(("die", pids, 1), ("die", f"{pids} always", 9), ("double", 3))
    with RayExecutor(Toy, address=cluster.address, gpus_per_worker=0, attempts=2) as engine:
        events = list(engine.run(jobs))
    last = last_of(events)
    again = [event for event in events if isinstance(event, Retrying)]
    assert {event.reason for event in again} == {
        "the actor is dead because its worker process has died"
    }
    assert [event.attempt for event in again] == [2, 2]
    assert last["die 0"].result == 2  # type: ignore[union-attr]
    failed = last["die 1"]
    assert isinstance(failed, Failed)
    assert (failed.reason, failed.attempts) == (again[0].reason, 2)
    assert last["double 2"].result == 6  # type: ignore[union-attr]
    assert capfd.readouterr() == ("", "")  # Ray itself would tell of each


def test_silent_worker_is_replaced(
    cluster: Any, pids: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("widthwise.runs.scheduler.GRACE_SEC", 0.2)  # it hangs for 60 s
    with RayExecutor(Toy, address=cluster.address, gpus_per_worker=0, patience_sec=20) as engine:
        events = list(engine.run(jobs_of(("hang", pids, 1))))
    assert [(e.reason, e.attempt) for e in events if isinstance(e, Retrying)] == [
        ("the worker said nothing for 20 s", 2)
    ]
    assert last_of(events)["hang 0"].result == 2  # type: ignore[union-attr]


def test_close_ends_workers_and_lets_them_tidy_up(cluster: Any, pids: str) -> None:
    with RayExecutor(Toy, address=cluster.address, gpus_per_worker=0, workers=1) as engine:
        running = engine.run(jobs_of(("spin", pids)))
        assert isinstance(next(running), Started)
        assert isinstance(next(running), Progressed)
        wait_until(lambda: noted(pids))
    assert len(noted(pids)) == 2  # its `finally` has run
    wait_until(lambda: is_gone(noted(pids)[0]))


def test_nodes_that_die(cluster: Any, tmp_path: Path) -> None:
    """The first dies: its job is done by the other. Then that one: there is no room any more."""
    pids, opened = str(tmp_path / "pids"), tmp_path / "opened"
    nodes = [cluster.add_node(num_cpus=1, num_gpus=2) for _ in range(2)]  # room on these only
    with RayExecutor(Toy, address=cluster.address, gpus_per_worker=2) as engine:
        assert len(engine.workers) == 2
        events = []
        for event in engine.run(jobs_of(*[("gate", pids, str(opened))] * 3)):
            events.append(event)
            if len(noted(pids)) == 2 and "Retrying" not in kinds(events) and len(nodes) == 2:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            if isinstance(event, Retrying):
                opened.touch()
        results = [event.result for event in events if isinstance(event, Finished)]
        assert results == ["passed"] * 3
        assert kinds(events).count("Retrying") == 1

        Path(pids).unlink()
        opened.unlink()
        running = engine.run(jobs_of(("gate", pids, str(opened))))
        next(running)
        wait_until(lambda: (next(running), noted(pids))[1])
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        told = "no node of the Ray cluster has room for a worker, which needs 1 CPUs and 2 GPUs"
        with pytest.raises(RunError, match=told):
            list(running)


def test_no_room_is_said(cluster: Any) -> None:
    told = r"needs 1 CPUs and 8 GPUs; its nodes have: .*3 CPUs and 1 GPUs"
    with pytest.raises(RunError, match=told):
        RayExecutor(Toy, address=cluster.address, gpus_per_worker=8)
    assert not ray.is_initialized()


def test_workers_that_must_be_there_together_need_room_for_all(cluster: Any) -> None:
    with RayExecutor(Toy, address=cluster.address, workers=4, gpus_per_worker=0) as engine:
        engine.check_room(3)
        with pytest.raises(RunError, match="has room for 3 workers, each of which needs 1 CPUs"):
            engine.check_room(4)


def test_room_that_others_use_is_waited_for(cluster: Any) -> None:
    """In a process that is at a cluster already, which the engine does not leave."""
    with ray_at(cluster):
        other = ray.remote(num_cpus=1, num_gpus=1)(toy_worker.Toy).remote("cpu")
        ray.get(other.double.remote(1))
        with RayExecutor(Toy, patience_sec=1) as engine:
            with pytest.raises(RunError, match="no worker could start on the Ray cluster for 1 s"):
                list(engine.run(jobs_of(("double", 3))))
        assert ray.is_initialized()


OWN = """
import psutil
from toy_worker import Toy, jobs_of, results_of
from widthwise.runs import RayExecutor
with RayExecutor(Toy, workers=1) as engine:
    results = results_of(engine, jobs_of(("double", 3)))
    begun = psutil.Process().children(recursive=True)
    ends = [end for process in begun for end in process.net_connections()]
    open_to = {end.laddr.ip for end in ends if end.status == psutil.CONN_LISTEN}
psutil.wait_procs(begun, timeout=10)
print(results, {ip.removeprefix("::ffff:") for ip in open_to}, sum(p.is_running() for p in begun))
"""


def test_workers_that_cannot_begin_are_not_begun_for_ever(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("widthwise.runs.ray_executor.RayActor", toy_worker.Unbegun)
    told = "no worker can start on the Ray cluster: ImportError: no widthwise here"
    with RayExecutor(Toy, address=cluster.address, workers=1, attempts=2) as engine:
        with pytest.raises(RunError, match=told):
            list(engine.run(jobs_of(("double", 3))))


def test_own_cluster_is_local_silent_and_ends(importable: None) -> None:
    """In a process of its own: Ray reads when it is imported what addresses to listen at."""
    path = os.pathsep.join([os.environ["PYTHONPATH"], *sys.path])
    environment = {key: value for key, value in os.environ.items() if "RAY_" not in key}
    ran = subprocess.run(
        [sys.executable, "-c", OWN],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (ran.stdout, ran.stderr) == ("{'double 0': 6} {'127.0.0.1'} 0\n", "")


def test_no_cluster_at_the_address_is_said() -> None:
    with pytest.raises(RunError, match=r"no Ray cluster could be reached at 127\.0\.0\.1:1: "):
        RayExecutor(Toy, address="127.0.0.1:1")


def test_missing_ray_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"needs Ray: pip install 'ray>=2\.50'"):
        RayExecutor(Toy)
