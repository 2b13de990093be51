"""Runs: what is missing is done, in order, and how far it is follows from costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_store import Note, store_at
from toy_worker import Toy

from widthwise.runs import Event, Finished, InProcess, ProgressCallback, Run, RunStore, WorkUnit

UNITS = [
    WorkUnit(keys=(name,), label=f"unit {name}", work=("double", number), cost=cost)
    for name, number, cost in (("a", 1, 1.0), ("b", 2, 2.0), ("c", 3, 1.0))
]


def do_all(store: RunStore[Note], *, retry_failed: bool = True) -> tuple[list[str], list[float]]:
    """Do what is missing here; return what was done, and the shares that were told."""
    done: list[str] = []
    shares: list[float] = []

    def do(unit: WorkUnit, report: ProgressCallback) -> None:
        report(0.5, "half")
        done.append(str(unit.keys[0]))
        store.add([Note(key=str(unit.keys[0]), value=2 * unit.work[1])])

    run = Run(UNITS, store, retry_failed=retry_failed)
    run.do_here(do, lambda share, _: shares.append(share))
    return done, shares


def test_what_is_missing_is_done_here_and_shares_follow_costs(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert do_all(store) == (["a", "b", "c"], [0, 0.125, 0.25, 0.5, 0.75, 0.875])
    assert do_all(store) == ([], [])


def test_failed_work_is_tried_again_by_the_next_run_unless_told(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.add([Note(key="a", value=2), Note(key="b", value=None)])
    assert do_all(store, retry_failed=False)[0] == ["c"]
    assert do_all(store)[0] == ["b"]


def test_an_error_ends_a_run_here_and_keeps_what_is_done(tmp_path: Path) -> None:
    store = store_at(tmp_path)

    def breaks(unit: WorkUnit, report: ProgressCallback) -> None:
        if unit.keys == ("b",):
            raise KeyboardInterrupt
        store.add([Note(key="a", value=2)])

    with pytest.raises(KeyboardInterrupt):
        Run(UNITS, store).do_here(breaks, lambda *_: None)
    assert do_all(store)[0] == ["b", "c"]


def test_an_executor_does_what_is_missing_and_a_failure_does_not_end_the_run(
    tmp_path: Path,
) -> None:
    store = store_at(tmp_path)
    units = [UNITS[0], WorkUnit(keys=("x", "y"), label="no luck", work=("fail",)), UNITS[2]]
    run = Run(units, store)
    assert [unit.label for unit in run.to_do] == ["unit a", "no luck", "unit c"]
    held: list[set[object]] = []

    def keep(unit: WorkUnit, result: int) -> None:
        store.add([Note(key=str(unit.keys[0]), value=result)])

    def give_up(unit: WorkUnit, reason: str) -> None:
        assert reason == "RuntimeError: no such thing"
        store.add([Note(key=str(key), value=None) for key in unit.keys])

    def on_event(event: Event) -> None:
        if isinstance(event, Finished):
            assert event.job.key in store.records
            held.append(set(store.records))

    with InProcess(Toy, "cpu") as executor:
        run.do_by(executor, keep, give_up, on_event)
    assert held == [{"a"}, {"a", "x", "y", "c"}]
    assert [unit.label for unit in run.missing] == ["no luck"]
    assert run.share({"a": 1.0, "x": 0.5}) == pytest.approx(0.5)
