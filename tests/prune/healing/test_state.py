"""What a healing keeps in its hidden folder, and which healings may go on from there."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from widthwise.errors import OutputError, RunError
from widthwise.prune.healing.state import state_folder

pytestmark = pytest.mark.usefixtures("short_blocks")


def test_factors_are_a_setting_that_a_state_keeps(healed: Any, tmp_path: Path) -> None:
    """One begun with none is refused with them; states from before there were any go on."""

    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt)
    with pytest.raises(RunError, match="was started with mup_factors None, not True"):
        healed(mup_factors=True)
    file = tmp_path / ".out.healing" / "state.safetensors"
    with safe_open(file, "pt") as state:
        head = state.metadata()
    known = json.loads(head["settings"])
    del known["mup_factors"]
    save_file(load_file(file), file, {**head, "settings": json.dumps(known)})
    assert len(healed().curve) == 3


def test_a_state_of_other_settings_is_refused(healed: Any, tmp_path: Path) -> None:
    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt)
    with pytest.raises(
        RunError, match=r"was started with learning_rate 0\.003, not 0\.01; give the"
    ):
        healed(learning_rate=0.01)
    file = tmp_path / ".out.healing" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(
        RunError, match=r"state.safetensors: cannot be read .* remove this file to start again"
    ):
        healed()
    assert file.exists()


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"was not written: .*No space left"):  # noqa: PT012
        with state_folder(tmp_path / "out", {"a": 1}) as folder:
            folder.save({"w": torch.ones(2)}, {"step": 1})
            monkeypatch.setattr(os, "fsync", full)
            folder.save({"w": torch.zeros(2)}, {"step": 2})
    monkeypatch.undo()
    with state_folder(tmp_path / "out", {"a": 1}) as folder:
        found = folder.load()
        assert found is not None
        assert found[0]["w"].tolist() == [1, 1]
        assert found[1] == {"step": 1}
        assert [p.name for p in folder.path.iterdir()] == ["state.safetensors"]


def test_two_healings_into_one_place_do_not_mix(healed: Any, tmp_path: Path) -> None:
    place = tmp_path / ".out.healing"
    place.mkdir()
    lock = os.open(place, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(OutputError, match="is being healed into by another process"):
        healed()
    os.close(lock)
    healed()
    assert not place.exists()


def test_only_what_a_healing_wrote_is_removed(tmp_path: Path) -> None:
    with state_folder(tmp_path / "out", {}) as folder:
        folder.save({"a": torch.zeros(2)}, {})
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.healing").mkdir()
    mine = tmp_path / ".out.healing" / "mine.txt"
    mine.write_text("mine")
    with state_folder(tmp_path / "out", {}) as folder:
        folder.save({"a": torch.zeros(2)}, {})
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]
