"""A store: what is done, what failed, what is missing, and that several calls may add to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_store import FORMAT, Note, store_at

from widthwise.errors import OutputError, RunError


def test_records_are_on_disk_before_they_are_told(tmp_path: Path) -> None:
    seen: list[dict[object, Note]] = []
    store = store_at(tmp_path / "out", lambda _: seen.append(FORMAT.load(store.path)))
    with store.folder.held():
        store.add([Note(key="a", value=1), Note(key="b", value=None)])
        store.add([])
    assert [list(records) for records in seen] == [["a", "b"], ["a", "b"]]
    again = store_at(tmp_path / "out")
    again.load()
    assert again.records == store.records


def test_the_last_record_of_a_key_counts_in_the_place_of_the_first(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.add([Note(key="a", value=None), Note(key="b", value=2)])
    store.add([Note(key="a", value=1)])
    store.load()
    assert list(store.records.values()) == [Note(key="a", value=1), Note(key="b", value=2)]


@pytest.mark.parametrize(
    ("keys", "is_done", "is_done_for_good"),
    [
        (("good",), True, True),
        (("failed",), False, True),
        (("absent",), False, False),
        (("good", "failed"), True, True),  # of a group some value could be had
        (("failed", "failed too"), False, True),
        (("failed", "absent"), False, False),
    ],
)
def test_failed_work_is_missing_unless_it_is_not_tried_again(
    keys: tuple[str, ...], is_done: bool, is_done_for_good: bool, tmp_path: Path
) -> None:
    store = store_at(tmp_path)
    store.add([Note(key="good", value=1)])
    store.add([Note(key=key, value=None) for key in ("failed", "failed too")])
    assert store.is_done(keys) == is_done
    assert store.is_done(keys, retry_failed=False) == is_done_for_good


def test_a_line_that_is_no_record_is_named_with_its_number(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.add([Note(key="a", value=1)])
    with open(store.path, "a") as file:
        file.write('{"key": "b", "value": "x"}\n{"torn')
    with pytest.raises(RunError, match=r"notes\.jsonl:2: a note has value x"):
        store.load()


def test_a_folder_holds_one_run_and_one_process(tmp_path: Path) -> None:
    store = store_at(tmp_path / "out")
    with store.folder.held():
        store.folder.write_settings(store.folder.agree({"rate": 1, "names": ["a"]}))
        with pytest.raises(OutputError, match="another process is running a list in"):
            store_at(tmp_path / "out").folder.held().__enter__()
    assert store.folder.agree({"rate": 1, "names": ["b"]}, choosing=("names",))["names"] == ["b"]
    with pytest.raises(RunError, match=r"the list in .* was started with rate 1, not 2; name"):
        store.folder.agree({"rate": 2, "names": ["a"]})
