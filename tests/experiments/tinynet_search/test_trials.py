"""Trials: addresses, lines of a file, runs that are interrupted, fail, and go on."""

from __future__ import annotations

import fcntl
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from toy_trials import Doubler, job

from widthwise.errors import OutputError, RunError
from widthwise.experiments.tinynet_search import TRIALS, SearchTrial
from widthwise.experiments.tinynet_search.trials import (
    FORMAT,
    Metric,
    TrialJob,
    load_trials,
    run_trials,
)
from widthwise.runs import InProcess, Processes, RunStore


def run(folder: Path, jobs: list[TrialJob], **options: Any) -> list[SearchTrial]:
    on_trial = options.pop("on_trial", _quiet)
    store: RunStore[SearchTrial] = RunStore(folder, FORMAT, on_record=on_trial)
    here: Any = partial(InProcess, device="cpu")
    return run_trials(store, jobs, make=Doubler, **{"engine": here, "settings": {}, **options})


def _quiet(trial: SearchTrial) -> None:
    """Nothing is told."""


def test_a_key_is_an_address_of_the_content() -> None:
    one = job(8)
    assert one.key == replace(one, label="otherwise called").key
    assert one.key == replace(one, settings={"steps": 3}).key
    changed = [
        replace(one, seed=1),
        replace(one, experiment="other"),
        replace(one, network={"width": 9}),
        replace(one, settings={"steps": 4}),
    ]
    assert len({one.key, *(other.key for other in changed)}) == 5
    with pytest.raises(RunError, match="not plain JSON"):
        _ = replace(one, network={"width": math.nan}).key


def test_a_trial_is_a_line_that_reads_back(tmp_path: Path) -> None:
    (found,) = run(tmp_path, [job(8, shape=(3, 4))])
    assert found.value("double") == 16
    assert found.value("triple") is None
    assert SearchTrial.from_json(found.to_json()) == found
    assert load_trials(tmp_path) == [found]
    assert found.versions["widthwise"]
    assert found.duration_sec >= 0


def test_trials_that_are_there_are_not_done_again(tmp_path: Path) -> None:
    first = run(tmp_path, [job(1), job(2)])
    told: list[SearchTrial] = []
    jobs = [job(3), job(2), job(1), job(2)]
    found = run(tmp_path, jobs, on_trial=told.append)
    assert [t.network["width"] for t in told] == [3]
    assert [t.key for t in found] == [j.key for j in jobs]
    assert found[2] == first[0]


def test_a_torn_line_is_done_again(tmp_path: Path) -> None:
    run(tmp_path, [job(1), job(2)])
    path = tmp_path / TRIALS
    path.write_bytes(path.read_bytes()[:-9])
    told: list[SearchTrial] = []
    run(tmp_path, [job(1), job(2)], on_trial=told.append)
    assert [t.network["width"] for t in told] == [2]
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert all(map(json.loads, lines))


def test_a_known_failure_is_a_record_once_and_an_odd_one_is_tried_again(tmp_path: Path) -> None:
    jobs = [job(1, fails="known"), job(2, fails="odd"), job(3)]
    known, odd, good = run(tmp_path, jobs)
    assert known.reason == "the loss is not finite"
    assert odd.reason == "ValueError: something broke"
    assert (known.again, odd.again) == (False, True)
    assert not known.quantities
    assert good.value("double") == 6
    told: list[SearchTrial] = []
    run(tmp_path, jobs, on_trial=told.append, retry_failed=False)
    assert told == []
    run(tmp_path, jobs, on_trial=told.append)
    assert [t.network["width"] for t in told] == [2]
    assert len(load_trials(tmp_path)) == 3  # the last of each key


def test_it_runs_in_processes_of_this_machine(tmp_path: Path) -> None:
    jobs = [job(1), job(2, fails="odd"), job(3)]
    here: Any = partial(Processes, devices=("cpu",))
    found = run(tmp_path, jobs, engine=here)
    assert [trial.value("double") for trial in found] == [2, None, 6]


def test_a_folder_of_other_settings_or_other_files_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "a", [job(1)], settings={"lr": 0.1, "nets": 3}, choosing=("nets",))
    run(tmp_path / "a", [job(1)], settings={"lr": 0.1, "nets": 4}, choosing=("nets",))
    with pytest.raises(RunError, match=r"was started with lr 0\.1, not 0\.2; name another"):
        run(tmp_path / "a", [job(1)], settings={"lr": 0.2, "nets": 3}, choosing=("nets",))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds other files"):
        run(tmp_path / "b", [job(1)])


def test_of_settings_within_settings_only_those_that_differ_are_named(tmp_path: Path) -> None:
    begun = {"recipe": {"epochs": 8, "batch": 32, "looks": {"area": (0.4, 1.0), "flip": True}}}
    asked = {"recipe": {"epochs": 5, "batch": 32, "looks": {"area": (0.2, 1.0), "flip": True}}}
    run(tmp_path, [job(1)], settings=begun)
    with pytest.raises(RunError) as error:
        run(tmp_path, [job(1)], settings=asked)
    assert str(error.value) == (
        f"the search in {tmp_path} was started with recipe epochs 8, not 5; recipe looks area "
        "[0.4, 1.0], not [0.2, 1.0]; name another folder with -o"
    )


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    run(tmp_path, [job(1)])
    with open(tmp_path / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="another process is running"):
            run(tmp_path, [job(2)])


def test_quantities_are_shares_or_missing_with_a_reason() -> None:
    found = Metric.share([1, 1, 0, 0], floor=0.25)
    assert (found.value, found.floor, found.items) == (0.5, 0.25, (1, 1, 0, 0))
    assert found.standard_error == pytest.approx(math.sqrt(1 / 3) / 2)
    with pytest.raises(RunError, match="exactly when a reason"):
        Metric(value=None, unit="nats")
    with pytest.raises(RunError, match="exactly when a reason"):
        Metric(value=1.0, unit="nats", reason="lost")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"extra": 1}, "unknown or missing fields"),
        ({"seed": "0"}, "has seed 0"),
        ({"seed": True}, "has seed True"),
        ({"duration_sec": 10**400}, "out of range"),
        ({"quantities": {"double": {"value": 1}}}, "quantity double has unknown or missing"),
        ({"quantities": {}}, "must have quantities"),
    ],
)
def test_a_line_that_is_no_trial_is_named_with_its_number(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    run(tmp_path, [job(1), job(2)])
    path = tmp_path / TRIALS
    lines = path.read_text().splitlines()
    path.write_text(f"{lines[0]}\n{json.dumps({**json.loads(lines[1]), **changed})}\n")
    with pytest.raises(RunError, match=message) as raised:
        load_trials(tmp_path)
    assert f"{path}:2:" in str(raised.value)


def test_numbers_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    (found,) = run(tmp_path, [job(1)])
    bad = replace(found, quantities={"x": Metric(value=math.nan, unit="nats")})
    with pytest.raises(RunError, match="not plain, finite JSON"):
        FORMAT.append(tmp_path / TRIALS, [bad])
    assert load_trials(tmp_path) == [found]
