"""The same study on every engine: the same records, whoever dies on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_photos
import toy_worker
from study_runs import numbers, run, settings_of

from widthwise.experiments.tinynet_search import Search, SearchSettings
from widthwise.runs import Event, Finished, InProcess, Processes, RayExecutor, Retrying
from widthwise.study import Record
from widthwise.tinynet import Space, TrainingRecipe

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # bind to 127.0.0.1 alone
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture(scope="module")
def undisturbed(tiny_checkpoint: Path, tmp_path_factory: Any) -> list[Record]:
    """What a study gives in this process."""
    return run(tmp_path_factory.mktemp("here") / "study", settings_of(tiny_checkpoint))


def after(done: int, act: Callable[[], None], seen: list[Event]) -> Callable[[Event], None]:
    """Follows events, and acts once when so many pieces are done."""

    def on_event(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Finished) and sum(isinstance(e, Finished) for e in seen) == done:
            act()

    return on_event


@pytest.mark.long
def test_a_worker_process_that_is_killed_costs_nothing(
    undisturbed: list[Record], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    engines: list[Processes] = []

    def make_engine(make: Any) -> Processes:
        engines.append(Processes(make, ["cpu"]))
        return engines[0]

    def kill() -> None:
        pid = engines[0]._workers[0]._process.pid
        os.kill(pid, signal.SIGKILL)

    seen: list[Event] = []
    settings = settings_of(tiny_checkpoint)
    records = run(tmp_path / "out", settings, engine=make_engine, on_event=after(4, kill, seen))
    assert numbers(records) == numbers(undisturbed)
    again = [event.reason for event in seen if isinstance(event, Retrying)]
    assert len(again) == 1
    assert "SIGKILL" in again[0]


@pytest.mark.long
def test_a_cluster_that_loses_a_node_gives_the_same_records(
    undisturbed: list[Record],
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray", reason="the package ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(toy_worker.__file__).parent))
    soon = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 200,
        "health_check_timeout_ms": 500,
        "health_check_failure_threshold": 3,
    }
    head = {"include_dashboard": False, "_system_config": soon, "num_cpus": 1}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(num_cpus=1)
        seen: list[Event] = []
        records = run(
            tmp_path / "out",
            settings_of(tiny_checkpoint),
            engine=lambda make: RayExecutor(make, address=cluster.address, workers=2),
            on_event=after(3, lambda: cluster.remove_node(second), seen),
        )
    finally:
        cluster.shutdown()
    assert numbers(records) == numbers(undisturbed)
    assert {event.worker for event in seen} == {"ray:0", "ray:1"}
    assert any(isinstance(event, Retrying) for event in seen)


@pytest.mark.long
def test_a_search_for_small_networks_is_the_same_on_a_cluster(tmp_path: Path) -> None:
    """Networks drawn, trained and judged by two actors, and by this process."""
    ray = pytest.importorskip("ray", reason="the package ray is not installed")
    settings = SearchSettings(
        data=str(tiny_photos.save_sets(tmp_path / "photos")),
        family="efficientnet-small",
        budgets=(8e6,),
        nets=2,
        seeds=(0,),
        space=Space(pixels=(24, 32)),
        recipe=TrainingRecipe(epochs=1, batch=16),
    )
    here = Search(tmp_path / "here", settings, engine=lambda make: InProcess(make, "cpu")).run()
    try:
        engine = lambda make: RayExecutor(make, workers=2)  # noqa: E731
        there = Search(tmp_path / "there", settings, engine=engine).run()
    finally:
        ray.shutdown()
    both = [{t.key: (t.experiment, t.network) for t in found.trials} for found in (here, there)]
    assert both[0] == both[1]
    assert len(both[0]) == 2
    values = [{t.key: t.value("test") for t in found.trials} for found in (here, there)]
    assert values[0] == pytest.approx(values[1], abs=0.09)  # 2 of 24 photos: threads may differ
