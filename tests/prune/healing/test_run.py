"""A process at work on a healing: interrupted, going on, and ended early."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from healing_runs import BATCH, QUICK, run
from safetensors.torch import load_file

from widthwise import make_plan, prune_checkpoint
from widthwise.errors import RunError
from widthwise.prune.healing import HealSettings, budget, heal
from widthwise.prune.healing.run import HealingRun
from widthwise.prune.healing.state import state_folder

pytestmark = pytest.mark.usefixtures("short_blocks")


class _Stop(Exception):
    pass


@pytest.mark.parametrize(("lora", "rate"), [(None, 3e-3), (2, 3e-3), (None, None)])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(
    lora: int | None, rate: float | None, healed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Bit for bit, with a Ctrl-C in the second step and a kill in the third, saved after each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr("widthwise.prune.healing.run.SAVE_SECONDS", 0.0)
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
        patched.setattr(HealingRun, "finished", interrupted)
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


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_a_state_is_judged_as_it_is_stored(
    compute: str, dense: Path, text: Path, tmp_path: Path
) -> None:
    """Of a child in bfloat16 a small step is lost to rounding: the numbers are those without it."""
    plan = make_plan(dense, width=20, align=1, criterion="ppm")
    child = prune_checkpoint(dense, tmp_path / "child", plan, dtype="bfloat16")
    asked = HealSettings(**{**QUICK, "tokens": 12 * BATCH, "learning_rate": None})
    found = heal(child, dense, out=tmp_path / "out", text=text, settings=asked, dtype=compute)
    assert found.after.divergence.value < found.before.divergence.value
    assert found.curve[found.best_step - 1].held_out == found.after.divergence.value


def test_a_run_without_time_for_a_step_writes_nothing_and_says_so(
    child: Path, dense: Path, text: Path, tmp_path: Path
) -> None:
    result = run(
        "heal", child, "--dense", dense, "--text", text, "--minutes", "1e-6", "-o", tmp_path / "out"
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was trained, and" in result.stderr
    assert "give more minutes" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_time_for_a_test_of_rates_says_so(healed: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(budget, "TESTED_TOKENS", 10**9)
    found = healed(learning_rate=None, tokens=3 * BATCH, minutes=60)
    assert found.trials == ()
    assert any(
        line.startswith("there was no time for a test of learning rates: 1e-05 was used")
        for line in found.warnings
    )
    card = (found.out / "README.md").read_text()
    assert all(f"- note: {line}\n" in card for line in found.warnings)
