"""Results of experiments: a line each with its settings, final, and not mixed with others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from widthwise.errors import OutputError, RunError
from widthwise.io import from_plain
from widthwise.runs import ProgressCallback, ResultUnit, result_format, run_results


@dataclass(frozen=True, kw_only=True)
class Square:
    side: int
    area: float | None
    reason: str | None = None


FORMAT = result_format(
    lambda fields: from_plain(Square, fields), key=lambda square: square.side, command="squares"
)


def squares(folder: Path, *sides: int, unit: str = "m") -> tuple[list[Square], list[str]]:
    """The squares of these sides, and the labels of those that were computed now."""
    done: list[str] = []

    def do(unit: ResultUnit, report: ProgressCallback) -> Square:
        report(0.5, unit.label)
        side = unit.work
        if side < 0:
            return Square(side=side, area=None, reason="there is no such square")
        return Square(side=side, area=side**2)

    units = [
        ResultUnit(keys=(side,), label=f"side {side}", work=side, settings={"unit": unit})
        for side in sides
    ]
    found = run_results(folder, FORMAT, units, do, on_result=lambda label, _: done.append(label))
    return found, done


def test_results_come_in_the_order_asked_and_are_computed_once(tmp_path: Path) -> None:
    first, done = squares(tmp_path, 2, -1)
    assert done == ["side 2", "side -1"]
    again, done = squares(tmp_path, 3, -1, 2)
    assert done == ["side 3"]  # a result with a reason is final too
    assert again == [Square(side=3, area=9), first[1], first[0]]
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "side": 2, "area": 4, "reason": None, "settings": {"unit": "m"}
    }  # fmt: skip


def test_results_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    squares(tmp_path, 2)
    with pytest.raises(RunError, match="holds side 2, made with other unit; give another --out"):
        squares(tmp_path, 3, 2, unit="km")
    assert squares(tmp_path, 3, unit="km")[1] == ["side 3"]


@pytest.mark.parametrize("line", [{"side": 1}, {"side": "x", "area": 1, "settings": {}}, 3])
def test_a_line_that_is_no_result_is_one_sentence(line: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(RunError) as error:
        squares(tmp_path, 2)
    assert str(error.value).startswith(f"{path}:1 is no run of widthwise squares (")
    assert str(error.value).endswith("); take that line out, or name another folder")


def test_a_folder_of_results_is_held_by_one_process(tmp_path: Path) -> None:
    with FORMAT.folder(tmp_path / "out").held():
        with pytest.raises(OutputError, match="another process is running a squares experiment in"):
            FORMAT.folder(tmp_path / "out").held().__enter__()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file cannot be written"):
        FORMAT.folder(tmp_path / "file").held().__enter__()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("records.jsonl", "holds a study"),
        ("trials.jsonl", "holds a search"),
        ("study.json", "holds other files (study.json)"),
        ("config.json", "holds other files (config.json)"),
        ("report.html", "holds other files (report.html)"),
    ],
)
def test_a_folder_of_something_else_is_refused_and_left_as_it_is(
    file: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_text("mine")
    with pytest.raises(RunError) as error:
        FORMAT.folder(tmp_path).held().__enter__()
    assert f"{said}, and is not a folder of a squares experiment; name" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_the_records_of_a_study_beside_results_are_not_mixed_in(tmp_path: Path) -> None:
    squares(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("mine")
    assert squares(tmp_path, 2)[1] == []
    (tmp_path / "records.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match="holds a study"):
        squares(tmp_path, 2)
