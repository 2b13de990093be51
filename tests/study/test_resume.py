"""A sweep that is stopped, resumed, damaged or ended early: nothing twice, nothing mixed."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from harness_data import PIQA, write_rows
from killing import command_killed_at
from sweep_runs import NAMES, TASKS, answers, numbers, run, settings_of

from widthwise.errors import OutputError, RunError
from widthwise.evaluate import early_stopping as steps
from widthwise.evaluate.language_model import SharedPrefixLM
from widthwise.runs import RecordFormat
from widthwise.study import Evaluation, Record, read_study, scorer
from widthwise.study import dense_model as parent

pytestmark = pytest.mark.demo


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks after every 16 items: of 16 equal ones the interval is +-0.35, of 32 +-0.20."""
    monkeypatch.setattr(steps, "_STEP", 16)


def cells(file: Path) -> list[str]:
    """The cell of each line of a file of records; `load` leaves out lines that were replaced."""
    return [json.loads(line)["cell"] for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> tuple[Path, dict[tuple[Any, ...], Any]]:
    """An undisturbed sweep: its folder and its records."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, settings_of(tiny_checkpoint))


def test_a_finished_sweep_computes_nothing(
    whole: Any, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, records = whole
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refuse(*_: Any) -> None:
        raise AssertionError("something was measured again")

    for name in ("answer_task", "compute_floor"):
        monkeypatch.setattr(scorer, name, refuse)
    monkeypatch.setattr(RecordFormat, "append", refuse)
    monkeypatch.setattr(parent.DenseModel, "dense", property(refuse))
    shares: list[float] = []
    again = Evaluation(
        folder, settings_of(tiny_checkpoint), on_progress=lambda share, _: shares.append(share)
    ).run()
    assert [record.cell for record in again] == [record.cell for record in records.values()]
    assert again == list(records.values())
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert shares[-1] == 1


def test_a_folder_from_before_thinking_was_a_choice_goes_on(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Its settings do not state `thinking`, and nothing in it was measured with any."""
    settings = settings_of(tiny_checkpoint)
    records = run(tmp_path, settings)
    stored = json.loads((tmp_path / "study.json").read_text())
    del stored["thinking"]
    (tmp_path / "study.json").write_text(json.dumps(stored))
    assert run(tmp_path, settings) == records
    with pytest.raises(RunError, match="thinking False, not True"):
        run(tmp_path, replace(settings, thinking=True))


def test_what_was_left_open_may_be_said_and_left_open_again(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    one = {"tasks": ("embedded:piqa",), "widths": (), "limit": 2}
    first = run(tmp_path, settings_of(tiny_checkpoint, device=None, **one))
    said = run(tmp_path, settings_of(tiny_checkpoint, device="cpu", **one))
    opened = run(tmp_path, settings_of(tiny_checkpoint, dtype=None, **one))
    assert numbers(first) == numbers(said) == numbers(opened)
    assert len(cells(tmp_path / "records.jsonl")) == 3
    with pytest.raises(RunError, match="started with dtype 'float32', not 'bfloat16'"):
        run(tmp_path, settings_of(tiny_checkpoint, dtype="bfloat16", **one))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"limit": 5}, "limit 4, not 5"),
        ({"limit": None}, "limit 4, not None"),
        ({"limits": {"piqa": 2}}, r"limits {}, not {'piqa': 2}"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"until": 0.1}, "until None, not 0.1"),
        ({"max_new_tokens": None}, "max_new_tokens 6, not None"),
        ({"backend": "hf"}, "backend 'widthwise', not 'hf'"),
    ],
)
def test_another_sweep_is_not_mixed_into_a_folder(
    other: dict[str, Any], words: str, whole: Any, tiny_checkpoint: Path
) -> None:
    folder, _ = whole
    before = (folder / "records.jsonl").read_bytes(), (folder / "study.json").read_bytes()
    with pytest.raises(RunError, match=rf"started with {words}; name another folder with -o"):
        run(folder, settings_of(tiny_checkpoint, **other))
    assert ((folder / "records.jsonl").read_bytes(), (folder / "study.json").read_bytes()) == before


def test_widths_criteria_and_tasks_may_be_added_and_left_out(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """What is measured already stays as it is; only new cells are measured."""
    few = settings_of(tiny_checkpoint, tasks=TASKS[:1], widths=("40%",))
    more = settings_of(tiny_checkpoint, tasks=TASKS[:2], widths=("1.4x", "40%"), criteria=("l2",))
    first = run(tmp_path, few)
    before = (tmp_path / "records.jsonl").read_bytes()
    grown = run(tmp_path, more)
    after = (tmp_path / "records.jsonl").read_bytes()
    assert after.startswith(before)
    kept = {place for place in first if place[0] != "ppm"}  # dense, and the control at 40 %
    assert {place: grown[place] for place in kept} == {place: first[place] for place in kept}
    assert len(after.splitlines()) == len(grown) + len(first) - len(kept)
    # a reader is shown the cells of the study as last asked for, in either case
    assert {r.cell for r in read_study(tmp_path).records} == {r.cell for r in grown.values()}
    assert run(tmp_path, few) == first
    assert {r.cell for r in read_study(tmp_path).records} == {r.cell for r in first.values()}
    assert (tmp_path / "records.jsonl").read_bytes() == after


def test_a_second_run_in_a_folder_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = Evaluation(tmp_path, settings_of(tiny_checkpoint))
    with first.store.folder.held():
        first._begin()
        with pytest.raises(OutputError, match="another process is running a study in"):
            Evaluation(tmp_path, settings_of(tiny_checkpoint)).run()
        assert not (tmp_path / "records.jsonl").exists()


KILLS = (2, 11, 19)  # records of 25: while counting or loading, among piqa and among prose


@pytest.mark.long
@pytest.mark.usefixtures("all_documents")
def test_killed_sweeps_go_on_and_end_with_the_same_records(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    records = run(tmp_path / "whole", settings_of(tiny_checkpoint))
    words = [
        "--suite",
        ",".join(TASKS),
        *"--criterion ppm --to 1.4x --remove 40% --limit 4".split(),
    ]
    words += ["--max-new-tokens", "6", "--dtype", "float32", "-o", str(tmp_path / "out")]
    file = tmp_path / "out" / "records.jsonl"
    for wanted in KILLS:
        command_killed_at(file, wanted, ["evaluate", tiny_checkpoint, *words])
    resumed = run(tmp_path / "out", settings_of(tiny_checkpoint))
    assert numbers(resumed) == numbers(records)
    lines = Counter(cells(file))
    assert set(lines.values()) == {1}
    assert len(lines) == 25
    for key, record in resumed.items():
        if key[2] in NAMES:
            assert len(answers(tmp_path / "out", record)) == 4


@contextmanager
def damaged_at(width: int | None) -> Iterator[None]:
    """The model's log-likelihoods are not numbers while it is that wide."""
    original = SharedPrefixLM._loglikelihood_tokens

    def answer(self: Any, requests: Any, **rest: Any) -> Any:
        found = original(self, requests, **rest)
        if self.model.config.intermediate_size == width:
            found[2] = (math.nan, False)  # the first option of the second item
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedPrefixLM, "_loglikelihood_tokens", answer)
        yield


@pytest.mark.long
@pytest.mark.usefixtures("short_steps")
@pytest.mark.parametrize("until", [None, 0.5])
def test_a_width_that_gives_nan_is_missing_and_tried_again(
    until: float | None, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    few = {"limit": 20, "limits": {"prose": 2}}
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:2], until=until, **few)
    with damaged_at(44):
        broken = run(tmp_path / "broken", settings)
    for key, record in broken.items():
        missing = key[1] == "1.4x" and key[2] == "piqa"
        assert (record.value is None) == missing
        if missing:
            words = rf"{key[0]} 1.4x: task piqa, item piqa/\d+: the model's output is not finite"
            assert pd.Series([record.reason]).str.match(words).all()
            assert (record.n, record.standard_error) == (0, None)
    mended = run(tmp_path / "broken", settings)
    undisturbed = run(tmp_path / "fine", settings)
    if until is not None:  # dense goes on to the end when a width is given up
        key = None, "dense", "piqa"
        assert (mended.pop(key).n, undisturbed.pop(key).n) == (20, 16)
    assert numbers(mended) == numbers(undisturbed)
    lines = Counter(cells(tmp_path / "broken" / "records.jsonl"))
    assert sorted(lines.values()) == [1] * (len(lines) - 2) + [2, 2]


@pytest.mark.usefixtures("short_steps")
def test_dense_that_gives_nan_is_asked_once_and_the_others_are_measured(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], until=0.9, limit=33)
    with damaged_at(53):
        broken = run(tmp_path, settings)
    assert broken[None, "dense", "piqa"].value is None
    assert {record.n for key, record in broken.items() if key[2] == "piqa"} == {0, 33}
    before = (tmp_path / "records.jsonl").read_bytes()
    assert before.count(b"not finite") == 1
    mended = run(tmp_path, settings)
    assert mended[None, "dense", "piqa"].n == 16  # where all others would have stopped
    assert (tmp_path / "records.jsonl").read_bytes().startswith(before)
    assert len(cells(tmp_path / "records.jsonl")) == 5 * 3 + 1


@pytest.mark.usefixtures("short_steps")
def test_until_stops_early_on_the_same_items(tiny_checkpoint: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    limits = {"limit": 40, "limits": {"prose": 17}}
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:2], until=0.5, **limits)
    records = run(tmp_path, settings, on_progress=lambda share, _: shares.append(share))
    pairs = {key: answers(tmp_path, r) for key, r in records.items() if key[2] in NAMES}
    for key, table in pairs.items():
        record = records[key]
        dense = pairs[None, "dense", key[2]]
        assert list(table["item"]) == list(dense["item"])[: record.n]
        assert record.settings["until"] == 0.5
        assert record.n == len(record.items) == len(table)
        assert record.n in ((17,) if key[2] == "prose" else (16, 32))
    assert shares == sorted(shares)
    assert max(shares) == 1


@pytest.mark.usefixtures("short_steps")
def test_until_killed_between_two_records_stores_nothing_twice(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tiny_checkpoint, tasks=TASKS[:1], until=0.5, limit=40)
    undisturbed = run(tmp_path / "whole", settings)
    original = RecordFormat.append

    def stops(self: Any, path: Path, records: list[Record]) -> None:
        if path.exists() and path.read_bytes().count(b"\n") == 12:
            raise KeyboardInterrupt
        original(self, path, records)

    with monkeypatch.context() as patch:
        patch.setattr(RecordFormat, "append", stops)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", settings)
    assert numbers(run(tmp_path / "cut", settings)) == numbers(undisturbed)
    assert len(cells(tmp_path / "cut" / "records.jsonl")) == 5 * 3


def test_a_device_that_is_gone_is_said(whole: Any, tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder, _ = whole
    begun = json.loads((folder / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**begun, "device": "banana"}))
    with pytest.raises(RunError, match="device banana cannot be used here"):
        run(tmp_path, settings_of(tiny_checkpoint))


def test_other_documents_under_the_same_names_are_other_cells(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """A run that goes on after its data changed must not set old answers beside new ones."""
    data = tmp_path / "data"
    rows = [{**PIQA, "goal": f"cut {number}"} for number in range(3)]
    write_rows(data / "piqa" / "validation.jsonl", rows)
    settings = settings_of(tiny_checkpoint, tasks=("piqa",), data=str(data), limit=None)
    first = run(tmp_path / "out", settings)
    write_rows(data / "piqa" / "validation.jsonl", [{**row, "label": 1} for row in rows])
    again = run(tmp_path / "out", settings)
    place = (None, "dense", "piqa")
    assert first[place].cell != again[place].cell
    assert first[place].value == 1 - (again[place].value or 0)
    assert first[None, "dense", "bytes"].cell == again[None, "dense", "bytes"].cell


def test_a_width_of_two_names_is_measured_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny_checkpoint, widths=("40%", "40.0%", "1.4x"))
    labels = [network.label for network in Evaluation(tmp_path / "out", settings).networks]
    assert labels == ["dense", "ppm 1.4x", "ppm 40%", "random 1.4x", "random 40%"]
