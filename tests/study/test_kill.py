"""A study that is killed again and again: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from study_runs import numbers

from widthwise.study import load, read_study

KILLS = 50


@pytest.mark.long
def test_a_study_killed_at_random_moments_leaves_the_same_records(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    script = Path(__file__).parents[1] / "support" / "study_runs.py"
    told = subprocess.run(
        [sys.executable, script, tiny_checkpoint, tmp_path, str(KILLS), "7"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    killed = [int(line.split()[1]) for line in told.splitlines()]
    assert sum(killed) == KILLS
    undisturbed = numbers(load(tmp_path / "first" / "records.jsonl"))
    for number, times in enumerate(killed):
        folder = tmp_path / str(number)
        assert read_study(folder).pending == 0
        assert numbers(load(folder / "records.jsonl")) == undisturbed, times
        lines = (folder / "records.jsonl").read_text().splitlines()
        assert len(lines) == len(undisturbed)  # each cell once
        items = {path.stem for path in (folder / "items").glob("*.parquet")}
        assert items == {path.stem for path in (tmp_path / "first" / "items").glob("*.parquet")}
    assert max(killed) > 2, "no folder was killed often enough to prove anything"
