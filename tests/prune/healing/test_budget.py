"""Minutes are kept, and most of them are training, whatever the pace of the machine.

Time is simulated: each pass over tokens moves the clock by so many seconds a token, three times as
many where a gradient follows.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from healing_pairs import pair, settings
from healing_runs import BLOCK

from widthwise.prune.healing import HealSettings, api, run
from widthwise.prune.healing.budget import NothingTrained, held_rows, prepare, token_seconds
from widthwise.prune.healing.training import Trainer

LENGTH = 128
LOADED = 20.0  # seconds that are gone before


class Machine:
    """A clock that is moved by what models do."""

    def __init__(self, pace: float) -> None:
        self.now, self.pace = LOADED, pace
        self.spent_on = {"training": 0.0, "reading": 0.0}

    def __call__(self) -> float:
        return self.now

    def time(self, model: Any) -> None:
        def passed(_module: Any, _args: Any, given: dict[str, Any], _out: Any = None) -> None:
            trained = torch.is_grad_enabled()
            seconds = given["input_ids"].numel() * self.pace * (3 if trained else 1)
            self.now += seconds
            self.spent_on["training" if trained else "reading"] += seconds

        model.get_decoder().register_forward_pre_hook(passed, with_kwargs=True)


def rows(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 99, (count, LENGTH), generator=generator)


def simulated(pace: float, rate: float | None, slower: float = 1.0) -> tuple[Trainer, Machine, Any]:
    """A course of ten minutes, to its end, on a machine that gets slower in its middle."""
    child, parent = pair()
    machine = Machine(pace)
    for model in (child, parent):
        machine.time(model)
    asked = settings(tokens=None, minutes=10.0, learning_rate=rate, batch_tokens=4 * LENGTH)
    trainer = Trainer(child, parent, rows(40, 1), asked, spent=machine)
    course = prepare(trainer, rows(32, 2), closing=10.0)
    while not course.ended:
        course.step()
        if machine.now > 300:
            machine.pace = slower * pace
    return trainer, machine, course


@pytest.mark.parametrize("rate", [None, 1e-4])
@pytest.mark.parametrize("pace", [0.01, 0.04, 0.1, 0.2])  # seconds a token
def test_minutes_are_kept_and_most_of_them_are_training(pace: float, rate: float | None) -> None:
    trainer, machine, course = simulated(pace, rate)
    judgements = [step for step in trainer.curve if step.held_out is not None]
    assert judgements
    assert machine.now <= 600 - 10  # less what was said to come after
    if course.ended == "whole":
        assert machine.now >= 0.85 * 600
    parent_reads = machine.spent_on["training"] / 3  # the parent reads each row trained on
    judging = machine.spent_on["reading"] - parent_reads  # the test of rates judges too
    # Six rows of 32 tokens, judged three times, are the least there is, however slow the machine.
    assert judging < (0.3 if pace == 0.2 else 0.2) * (machine.now - LOADED)
    assert trainer.curve[-1].learning_rate < 0.35 * trainer.rate


def test_minutes_are_kept_where_the_machine_gets_slower() -> None:
    trainer, machine, _ = simulated(0.02, 1e-4, slower=3.0)
    assert machine.now <= 600
    assert trainer.curve[-1].learning_rate < 0.35 * trainer.rate


def test_a_machine_too_slow_for_a_step_trains_nothing() -> None:
    with pytest.raises(NothingTrained):
        simulated(2.0, None)


def test_fewer_rows_are_held_out_first_and_then_shorter_ones() -> None:
    whole = rows(32, 3)
    assert held_rows(whole, 1e9, 6).shape == (32, LENGTH)
    assert held_rows(whole, 50 * 10 * LENGTH, 6).shape == (10, LENGTH)
    assert held_rows(whole, 50 * 6 * 100, 6).shape == (6, 100)
    assert held_rows(whole, 1, 6).shape == (6, 32)
    assert held_rows(whole[:4, :16], 1, 6).shape == (4, 16)  # no more than there are


@pytest.mark.parametrize(("fixed", "read"), [(0.0, LENGTH), (100.0, 32)])
def test_the_pace_is_timed_on_short_rows_where_those_take_long_enough(
    fixed: float, read: int
) -> None:
    seen: list[int] = []
    clock = iter([0.0, fixed + 1.0, 10.0, 11.0, 20.0, 21.0])
    pace = token_seconds(
        lambda part: seen.append(part.numel()), rows(2, 4), 1000.0, lambda: next(clock)
    )
    assert seen[0] == 32  # to warm up
    assert seen[-1] == read
    assert pace == (fixed + 1.0) / read


@pytest.mark.usefixtures("short_blocks")
def test_a_part_of_the_minutes_is_left_to_what_comes_around_a_healing(
    child: Path, dense: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports before and a figure after take no time on this clock: 3 % of the minutes stay."""
    machine = Machine(pace=0.02)
    machine.now = 0.0
    monkeypatch.setattr(api, "time", SimpleNamespace(monotonic=machine))
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=machine))
    load = run.model_in

    def timed(*place: Any) -> Any:
        model = load(*place)
        machine.time(model)
        return model

    monkeypatch.setattr(run, "model_in", timed)
    asked = HealSettings(minutes=10.0, learning_rate=1e-3, batch_tokens=4 * BLOCK)
    found = api.heal(child, dense, out=tmp_path / "out", text=text, settings=asked, dtype="float32")
    assert found.stopped == "whole"
    assert 0.85 * 600 <= found.seconds <= 0.97 * 600
