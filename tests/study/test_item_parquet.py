"""Files of items: values of numpy, and a disk that is full."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from widthwise.errors import OutputError
from widthwise.evaluate import Distance, TaskAnswer
from widthwise.study import Record
from widthwise.study.item_distances import ItemDistances
from widthwise.study.item_parquet import read_items, write_items


def test_values_of_numpy_are_written_and_a_full_disk_is_said(tmp_path: Path) -> None:
    import numpy as np

    metrics = {"brier,none": (np.int64(1), np.array([0.25, 0.75])), "acc,none": np.bool_(True)}
    answer = TaskAnswer(id="x/0", responses=((-1.0, True),), metrics=metrics)
    write_items(tmp_path, "cell", [answer], [])
    (row,) = pyarrow.parquet.read_table(tmp_path / "items" / "cell.parquet").to_pylist()
    assert json.loads(row["metrics"]) == {"brier,none": [1, [0.25, 0.75]], "acc,none": True}
    assert row["share"] is None
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cell\.parquet was not written"):
        write_items(tmp_path / "file", "cell", [answer], [1.0])


def test_answers_are_read_back_as_they_were(tmp_path: Path) -> None:
    distance = Distance(tokens=3, divergence=0.75, agreement=2, acceptance=2.25)
    chosen = TaskAnswer(
        id="x/0",
        responses=((-1.0, True), (-2.5, False)),
        metrics={"acc,none": 1, "bits,none": (-3.0, 7)},
        shortened=False,
        distance=distance,
    )
    written = TaskAnswer(
        id="y/1", responses=("Yes.",), metrics={"em,none": 0}, tokens=2, capped=True, loops=False
    )
    rolled = TaskAnswer(id="z/2", responses=(-4.5,), metrics={})
    for answers in ([chosen], [written], [rolled, rolled]):
        write_items(tmp_path, "cell", answers, [])
        found = read_items(tmp_path, _record(answers))
        assert found == answers
    write_items(tmp_path, "cell", [rolled, rolled, rolled], [])
    assert read_items(tmp_path, _record([rolled])) == [rolled]  # a run was killed before its record


def test_answers_that_are_lost_are_none(tmp_path: Path) -> None:
    answer = TaskAnswer(id="z/2", responses=(-4.5,), metrics={})
    assert read_items(tmp_path, _record([answer])) == []
    write_items(tmp_path, "cell", [answer], [])
    assert read_items(tmp_path, _record([answer, answer])) == []
    (tmp_path / "items" / "cell.parquet").write_bytes(b"PAR1 and no more")
    assert read_items(tmp_path, _record([answer])) == []


def _record(answers: list[TaskAnswer]) -> Record:
    return Record(
        cell="cell",
        model="m",
        criterion=None,
        asked="dense",
        width=4,
        expansion_ratio=1.0,
        quantity="q",
        unit="accuracy",
        value=0.5,
        n=len(answers),
        distances=ItemDistances.of(answers),
    )
