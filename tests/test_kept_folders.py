"""What an older version wrote is read, and gone on with.

The folders in `kept` were begun by the commit that they are called by, with the words below, and
killed before the last cell.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from widthwise.cli import main
from widthwise.study import read_study

KEPT = Path(__file__).parent / "kept"
ASKED = ("smollm2", "--to", "2.4x", "--suite", "embedded:piqa", "--limit", "6")
FOLDERS = {"study-41e98b0": ("study", *ASKED), "evaluate-41e98b0": ("evaluate", *ASKED)}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_an_older_version_is_read(name: str) -> None:
    read = read_study(KEPT / name)
    assert (len(read.records), read.pending) == (8, 1)
    scores = {r.criterion: r.value for r in read.records if r.quantity == "piqa"}
    assert scores == {None: pytest.approx(2 / 6), "ppm": 0.5}


@pytest.mark.demo
@pytest.mark.long
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_an_older_version_is_gone_on_with(name: str, tmp_path: Path) -> None:
    """Nothing is measured again: only the last cell, and floors by today's rule, are added."""
    folder = shutil.copytree(KEPT / name, tmp_path / name)
    before = (folder / "records.jsonl").read_bytes()
    result = CliRunner().invoke(main, [*FOLDERS[name], "-o", str(folder)])
    assert result.exit_code == 0, result.output
    assert (folder / "records.jsonl").read_bytes().startswith(before)
    read = read_study(folder)
    assert (len(read.records), read.pending) == (9, 0)
    lines = (folder / "records.jsonl").read_text().splitlines()
    added = [json.loads(line) for line in lines[8:]]
    values = {r["criterion"]: r["value"] for r in added if r["criterion"] != "random"}
    assert values == {None: pytest.approx(2 / 6), "ppm": 0.5}
    assert {r["settings"]["floor_rule"] for r in added} == {"all documents of the task"}
