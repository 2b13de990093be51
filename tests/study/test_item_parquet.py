"""Files of items: values of numpy, and a disk that is full."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest

from widthwise.errors import OutputError
from widthwise.study.item_parquet import write_items


def test_values_of_numpy_are_written_and_a_full_disk_is_said(tmp_path: Path) -> None:
    import numpy as np

    from widthwise.evaluate import TaskAnswer

    metrics = {"brier,none": (np.int64(1), np.array([0.25, 0.75])), "acc,none": np.bool_(True)}
    answer = TaskAnswer(id="x/0", responses=((-1.0, True),), metrics=metrics)
    write_items(tmp_path, "cell", [answer], [])
    (row,) = pyarrow.parquet.read_table(tmp_path / "items" / "cell.parquet").to_pylist()
    assert json.loads(row["metrics"]) == {"brier,none": [1, [0.25, 0.75]], "acc,none": True}
    assert row["share"] is None
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cell\.parquet was not written"):
        write_items(tmp_path / "file", "cell", [answer], [1.0])
