"""Files that are replaced: whole or as they were, and a killed writer leaves nothing for long."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from killing import killed_at

from widthwise.errors import OutputError
from widthwise.experiments.word2vec import SkipGram, networks
from widthwise.io import check_new_file, partial_path, replace_file
from widthwise.prune.healing.state import state_folder


def write(path: Path, text: str) -> None:
    with replace_file(path) as partial:
        partial.write_text(text)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, "old")
    with replace_file(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "seen"), [(OSError, OutputError), (KeyboardInterrupt, KeyboardInterrupt)]
)
def test_an_error_leaves_the_old_file_alone(
    error: type[BaseException], seen: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write(path, "old")

    def fails() -> None:
        with replace_file(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(seen):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_of_several_processes_are_their_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replace_file(path, shared=True) as mine, replace_file(path) as other:
        assert mine != other
        mine.write_text("mine")
        other.write_text("other")
    assert path.read_text() == "mine"  # the one that ended last
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_writer_at_once_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """Both wrote into one place, and the file of one held what the other wrote."""
    path = tmp_path / "file"
    with replace_file(path) as first:
        first.write_text("first")
        with pytest.raises(OutputError, match="file is being written by another process"):
            write(path, "second, which is longer")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_takes_the_place_of_none_that_appeared_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def make() -> None:
        with replace_file(path, only_new=True) as partial:
            partial.write_text("mine")
            path.write_text("theirs")

    for _ in range(2):  # then it is there from the beginning
        with pytest.raises(OutputError, match="file already exists; pass --force"):
            make()
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_for_a_new_file_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    check_new_file(path, force=False)
    with pytest.raises(OutputError, match="does not exist; make it first"):
        check_new_file(tmp_path / "none" / "file", force=True)
    with pytest.raises(OutputError, match="is a folder; choose another file"):
        check_new_file(tmp_path, force=True)
    path.touch()
    check_new_file(path, force=True)
    with pytest.raises(OutputError, match="already exists; pass --force to replace it"):
        check_new_file(path, force=False)


def test_the_next_writer_writes_over_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path, "old")
    for text in ("longer than what comes after it", "x"):
        killed_at("fsync", lambda text=text: write(path, text))
        assert path.read_text() == "old"
        assert sorted(tmp_path.iterdir()) == [partial_path(path), path]
    write(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_killed_checkpoints_of_word2vec_leave_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "width-2-seed-0.safetensors"

    def save(value: float) -> None:
        matrix = torch.full((3, 2), value)
        networks.save_checkpoint(
            path, SkipGram(embeddings=matrix, outputs=matrix), {"value": value}
        )

    save(1.0)
    for value in (2.0, 3.0):
        killed_at("fsync", lambda value=value: save(value))
    found = SkipGram(embeddings=torch.zeros(3, 2), outputs=torch.zeros(3, 2))
    assert networks.load_checkpoint(path, found) == {"value": 1.0}
    assert found.embeddings.unique().tolist() == [1.0]
    save(4.0)
    assert networks.load_checkpoint(path, found) == {"value": 4.0}
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_healing_left_goes_when_the_next_one_begins(tmp_path: Path) -> None:
    def save(step: int) -> None:
        with state_folder(tmp_path / "out", {}) as folder:
            folder.save({"w": torch.ones(2)}, {"step": step})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(1)
    killed_at("fsync", lambda: save(2))
    assert len(list((tmp_path / ".out.healing").iterdir())) == 2
    with state_folder(tmp_path / "out", {}) as folder:
        assert [one.name for one in folder.path.iterdir()] == ["state.safetensors"]
        found = folder.load()
    assert found is not None
    assert found[1] == {"step": 1}
