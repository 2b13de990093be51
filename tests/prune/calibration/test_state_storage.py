"""Hidden states beyond a bound are in files, and a calibration is the same to the bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import tiny_model
from layered_models import batches

from widthwise.errors import RunError
from widthwise.prune import per_layer
from widthwise.prune.calibration import state_storage
from widthwise.prune.calibration.state_storage import StateStorage
from widthwise.prune.refitting import refit


def in_file(states: torch.Tensor) -> bool:
    return states.untyped_storage().filename is not None


def test_the_first_states_are_in_memory_and_others_in_files_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    states = torch.randn(2, 3, 4, dtype=torch.bfloat16)
    storage = StateStorage(states.nbytes)
    first, second = storage.placed(states), storage.placed(states)
    assert first is states
    assert not in_file(first)
    assert in_file(second)
    assert torch.equal(second, states)
    assert second.dtype == states.dtype
    assert storage.replaced(first, states + 1) is not first
    assert storage.replaced(second, states + 1) is second
    assert torch.equal(second, states + 1)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_refit_with_states_in_files_is_the_same(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(family)
    whole = refit(model, width=20, align=1, text=batches())
    monkeypatch.setattr(state_storage, "MEMORY_BYTES", 0)
    done = refit(model, width=20, align=1, text=batches())
    assert done.plan == whole.plan
    assert all(torch.equal(a, b) for a, b in zip(done.down, whole.down, strict=True))


def test_widths_by_layers_with_states_in_files_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model("llama")
    whole = per_layer(model, width=20, align=1, text=batches())
    monkeypatch.setattr(state_storage, "MEMORY_BYTES", 0)
    assert per_layer(model, width=20, align=1, text=batches()) == whole


def test_no_room_is_said_before_a_state_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match=r"No space left on device; set TMPDIR to a folder"):
        StateStorage(0).placed(torch.zeros(2, 2))
    assert not any(tmp_path.iterdir())
