"""Records: a line each, appended, torn lines dropped, nothing unknown read."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.errors import OutputError, RunError
from widthwise.study import Record, append, load

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def records(draw: st.DrawFn) -> Record:
    value = draw(st.none() | FINITE)
    return Record(
        cell=draw(st.text(min_size=1, max_size=8)),
        model=draw(st.text(max_size=8)),
        criterion=draw(st.none() | st.text(max_size=4)),
        asked="2.4x",
        width=draw(st.integers(1, 10**6)),
        expansion_ratio=draw(FINITE),
        quantity="prose",
        unit="bits_per_byte",
        value=value,
        reason=None if value is not None else "out of memory",
        n=draw(st.integers(0, 100)),
        items=tuple(draw(st.lists(FINITE, max_size=4))),
        settings={"seed": draw(st.integers()), "text": draw(st.text())},
    )


def example(**changes: Any) -> Record:
    fields: dict[str, Any] = {
        "cell": "c",
        "model": "m",
        "criterion": None,
        "asked": "dense",
        "width": 7,
        "expansion_ratio": 1.75,
        "quantity": "prose",
        "unit": "bits_per_byte",
        "value": 1.0,
        "n": 3,
    }
    return Record(**{**fields, **changes})


@given(records())
def test_json_round_trip(record: Record) -> None:
    line = record.to_json()
    assert "\n" not in line
    assert Record.from_json(line) == record


def test_append_and_load_keep_order(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    assert load(path) == []
    append(path, [example(cell="a"), example(cell="b")])
    append(path, [example(cell="c")])
    assert [r.cell for r in load(path)] == ["a", "b", "c"]
    assert load(str(path)) == load(path)


def test_a_cell_measured_again_is_its_last_record_in_the_place_of_its_first(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    missing = example(cell="a", value=None, reason="killed")
    append(path, [missing, example(cell="b"), example(cell="a", value=2.0)])
    assert [(r.cell, r.value) for r in load(path)] == [("a", 2.0), ("b", 1.0)]


def test_a_torn_last_line_is_dropped_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append(path, [example(cell="a"), example(cell="b")])
    whole = path.read_bytes()
    for cut in range(1, len(example(cell="b").to_json()) + 1):
        path.write_bytes(whole[:-cut])
        assert [r.cell for r in load(path)] == ["a"]
        append(path, [example(cell="c")])
        assert [r.cell for r in load(path)] == ["a", "c"]


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"cell": "half a li')
    assert load(path) == []
    assert path.read_bytes() == b'{"cell": "half a li'


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(example().to_json() + "\n" + '{"cell": 1}\n')
    with pytest.raises(RunError, match=r"records\.jsonl:2: .*unknown or missing fields"):
        load(path)
    strange = ({"items": None}, {"value": "x"}, {"width": 1.5}, {"settings": None})
    for change in (*strange, {"higher_is_better": "yes"}):
        path.write_text(json.dumps({**json.loads(example().to_json()), **change}) + "\n")
        with pytest.raises(RunError, match=rf":1: a record has {next(iter(change))}"):
            load(path)
    for name in ("n", "floor", "duration_sec"):
        path.write_text(json.dumps({**json.loads(example().to_json()), name: 10**400}) + "\n")
        with pytest.raises(RunError, match=rf":1: a record has a {name} that is out of range"):
            load(path)
    path.write_text(example().to_json().replace('"value": ', '"value": NaN, "was": ', 1) + "\n")
    with pytest.raises(RunError, match=r":1: a record is not JSON: NaN is no number"):
        load(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(RunError, match="cannot be read"):
        load(path)
    path.write_text("x\n")
    with pytest.raises(RunError, match=r":1: a record is not JSON"):
        load(path)


def test_a_value_is_missing_exactly_with_a_reason() -> None:
    with pytest.raises(RunError, match="missing exactly when a reason is given"):
        example(value=None)
    with pytest.raises(RunError, match="missing exactly when a reason is given"):
        example(reason="why?")


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(RunError, match="not finite"):
        example(value=float("nan")).to_json()


def test_a_disk_that_fills_up_takes_all_of_an_append_or_nothing(tmp_path: Path) -> None:
    """The system's limit on a file's size cuts a write short, as a full disk does."""
    path = tmp_path / "records.jsonl"
    append(path, [example(cell="a")])
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + len(before) * 3 // 2, hard))
    try:
        with pytest.raises(OutputError, match=r"records\.jsonl was not written"):
            append(path, [example(cell="b"), example(cell="c")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    append(path, [example(cell="b"), example(cell="c")])
    assert [record.cell for record in load(path)] == ["a", "b", "c"]


def test_a_line_of_an_older_version_is_read_without_what_it_did_not_have() -> None:
    line = json.loads(example(floor=0.25, floor_kind="chance").to_json())
    for name in ("floor_n", "floor_error", "floor_items"):
        del line[name]
    read = Record.from_json(json.dumps(line))
    assert (read.floor, read.floor_n, read.floor_error, read.floor_items) == (0.25, None, None, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [("floor_n", 1.5), ("floor_error", "0.1"), ("floor_items", 3), ("floor_items", ["a"])],
)
def test_a_floor_that_is_no_number_is_refused(name: str, value: Any) -> None:
    line = {**json.loads(example().to_json()), name: value}
    with pytest.raises(RunError, match=r"a record has "):
        Record.from_json(json.dumps(line))
