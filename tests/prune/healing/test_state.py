"""A healing that ends early: what its hidden state keeps, and what goes on from there."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from healing_runs import BATCH
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from widthwise.errors import OutputError, RunError
from widthwise.prune.healing import run
from widthwise.prune.healing.state import state_folder

pytestmark = pytest.mark.usefixtures("short_blocks")


def test_factors_are_a_setting_that_a_state_keeps(healed: Any, tmp_path: Path) -> None:
    """One begun with none is refused with them; states from before there were any go on."""

    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt)
    with pytest.raises(RunError, match="was begun with mup_factors None, not True"):
        healed(mup_factors=True)
    file = tmp_path / ".out.healing" / "state.safetensors"
    with safe_open(file, "pt") as state:
        head = state.metadata()
    known = json.loads(head["settings"])
    del known["mup_factors"]
    save_file(load_file(file), file, {**head, "settings": json.dumps(known)})
    assert len(healed().curve) == 3


class _Stop(Exception):
    pass


@pytest.mark.parametrize(("lora", "rate"), [(None, 3e-3), (2, 3e-3), (None, None)])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(
    lora: int | None, rate: float | None, healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Bit for bit, with a Ctrl-C in the second step and a kill in the third, saved after each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(run, "SAVE_SECONDS", 0.0)
    asked: dict[str, Any] = {
        "lora": lora,
        "hidden": 0.1,
        "tokens": 8 * BATCH,
        "learning_rate": rate,
    }
    whole = healed("whole", **asked)

    def interrupt(step: Any, _: float) -> None:
        if step.tokens == 2 * BATCH:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt, **asked)

    def die(step: Any, _: float) -> None:
        if step.tokens == 4 * BATCH:
            raise _Stop

    with pytest.raises(_Stop):
        healed(progress=die, **asked)
    assert (tmp_path / ".out.healing" / "state.safetensors").exists()
    assert not (tmp_path / "out").exists()
    steps: list[int] = []
    again = healed(progress=lambda step, _: steps.append(step.tokens // BATCH), **asked)
    torch.set_num_threads(threads)
    assert steps == [4, 5, 6, 7, 8]  # the fourth was not saved before the kill
    assert [s.loss for s in again.curve] == [s.loss for s in whole.curve]
    assert again.before == whole.before
    assert (again.trials, again.learning_rate) == (whole.trials, whole.learning_rate)
    assert bool(whole.trials) == (rate is None)
    assert again.after == whole.after
    files = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out")]
    for name, value in files[0].items():
        assert torch.equal(value, files[1][name]), name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "whole"]


def test_a_state_of_other_settings_is_refused(healed: Any, tmp_path: Path) -> None:
    def interrupt(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        healed(progress=interrupt)
    with pytest.raises(
        RunError, match=r"was begun with learning_rate 0\.003, not 0\.01; give what"
    ):
        healed(learning_rate=0.01)
    file = tmp_path / ".out.healing" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"cannot be read .* remove .*\.out\.healing to begin anew"):
        healed()
    assert file.exists()


def test_a_loss_that_is_not_finite_keeps_the_state_before_it(
    healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from widthwise.prune.healing import training

    calls = []

    def breaks(own: torch.Tensor, *_: Any) -> torch.Tensor:
        calls.append(1)
        return own.sum() * (float("nan") if len(calls) > 2 else 1e-3)

    monkeypatch.setattr(training, "divergence", breaks)
    with pytest.raises(RunError, match=r"step 3: the loss is nan .*once .*\.out\.healing with the"):
        healed(micro_tokens=BATCH)
    with state_folder(tmp_path / "x", {}) as folder:
        pass
    folder.path = tmp_path / ".out.healing"
    found = folder.load()
    assert found is not None
    assert len(found[1]["curve"]) == 2
    assert all(torch.isfinite(value).all() for value in found[0].values())
    assert not (tmp_path / "out").exists()


def test_a_run_that_ends_while_measuring_loses_no_training(
    healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """The best state is kept before it is measured as it is written; no step is made again."""
    whole = healed("whole", tokens=2 * BATCH)

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run.HealingRun, "finished", interrupted)
        with pytest.raises(KeyboardInterrupt):
            healed(tokens=2 * BATCH)
    assert (tmp_path / ".out.healing" / "state.safetensors").exists()
    steps: list[Any] = []
    done = healed(tokens=2 * BATCH, progress=lambda *step: steps.append(step))
    assert steps == []
    assert len(done.curve) == 2
    assert done.after == whole.after


def test_a_first_step_that_is_not_finite_leaves_nothing_and_blames_no_rate(
    healed: Any, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"step 1: .*; look at the models, and at --temperature"):
        healed(hidden=1e30)
    assert list(tmp_path.iterdir()) == []


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
